"""A data set that one may use becomes one's own, under another name: its parts are shared, not copied.

The ids of its rows bear the new name; everything else of a row, and where it came from, is as in the origin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from mozhu.kernel.errors import PlaceTaken
from mozhu.kernel.progress import iso_time
from mozhu.platform.catalog.copying import Original, Wanted, check_wanted, describe_copy, origin_of
from mozhu.platform.catalog.datasets import folders, rows
from mozhu.platform.catalog.datasets.folders import (
    VersionFolder,
    bring_files,
    close_files,
    facts_of,
    read_version,
)
from mozhu.platform.catalog.events import COPIED, OF_DATASET, Happening
from mozhu.platform.catalog.kinds import DATASET
from mozhu.platform.catalog.lineage import COPY_OF, Node, add_edges, copied_from
from mozhu.platform.catalog.places import move_in, staging
from mozhu.platform.catalog.rows import add_history
from mozhu.platform.database.engine import Database
from mozhu.specs.records.dataset import DatasetRegistration
from mozhu.specs.records.sidecars import REGISTRATION
from mozhu.workspace.places import check_dataset_name


def copy_dataset(database: Database, models: Path, reference: str, wanted: Wanted) -> tuple[str, ...]:
    """The data set ``reference``, or the one version that it names, is the data set ``wanted.name`` too.

    Returns the references of the copies. Their folders are whole before their rows are there.

    Raises:
        As ``copying.origin_of``. BadName: FILE-008. PlaceTaken: REG-010. DamagedSnapshot: REG-015.
    """
    check_wanted(wanted)
    check_dataset_name(wanted.name)
    with database.reading() as session:
        versions = origin_of(session, DATASET, reference, wanted)[1]
    with staging(models) as room:
        staged = []
        for number, version in enumerate(versions):
            folder = room / str(number)
            staged.append((version, folder, _lay(models, version, folder, wanted, wanted.time(number))))
        with database.writing() as session:
            origin, still = origin_of(session, DATASET, reference, wanted)
            ids = {version.id for version in still}
            told = [_enter(session, models, *one, wanted) for one in staged if one[0].id in ids]
            kept = [version for version, _, _ in staged if version.id in ids]
            describe_copy(session, models, DATASET, origin, kept, wanted)
            return tuple(told)


def _lay(models: Path, version: Original, folder: Path, wanted: Wanted, registered: str) -> VersionFolder:
    """The folder of a copy: its files, and a record that names the origin."""
    there = read_version(models / version.path)
    bring_files(there.found, folder, copy=False)
    told: dict[str, Any] = there.registration.to_json()
    for name in ("schema", "kind", "sha256"):
        told.pop(name)
    owned = {name: wanted.owned[name] for name in ("owner", "team")}
    told.update(owned, name=wanted.name, registered=registered, source=f"{COPY_OF}{version.reference}")
    record = DatasetRegistration.make(**{**told, "tags": list(version.tags)})
    record.write(folder / REGISTRATION)
    close_files(folder)
    return VersionFolder(record, there.found, ())


def _enter(
    session: Session, models: Path, version: Original, folder: Path, laid: VersionFolder, wanted: Wanted
) -> str:
    target = folders.place_of(models, wanted.name, version.label)
    if target.exists():
        raise PlaceTaken(path=str(target), holder=target.name)
    move_in(folder, target)
    view = rows.add_version(session, facts_of(models, target, laid))
    add_edges(session, copied_from(target, Node("dataset", view.reference)))
    happening = Happening(COPIED, view.name, view.label, {"by": wanted.subject.user}, OF_DATASET)
    add_history(session, [happening], iso_time(wanted.now))
    return view.reference
