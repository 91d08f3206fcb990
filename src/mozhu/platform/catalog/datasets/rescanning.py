"""All rows of data sets anew, from the folders below ``5_models/datasets`` and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from mozhu.kernel.errors import MissingFile, MozhuError
from mozhu.kernel.texts import text
from mozhu.platform.catalog.datasets import rows
from mozhu.platform.catalog.datasets.folders import dataset_folders, facts_of, place_of, read_version
from mozhu.platform.catalog.datasets.views import DatasetFacts
from mozhu.platform.catalog.places import path_within
from mozhu.platform.catalog.views import DatasetRescan, Refused
from mozhu.specs.records.sidecars import REGISTRATION

Seen = dict[str, DatasetFacts | Refused]


@dataclass(frozen=True)
class DatasetScan:
    """Versions in the order of their registration, and what is none."""

    found: tuple[DatasetFacts, ...]
    refused: tuple[Refused, ...]


def look(models: Path, seen: Seen | None = None) -> Seen:
    """What each folder is, every byte of it read; those in ``seen`` are not read again.

    Folders do not change once they are there, so a long look needs no lock on the database; the few that came
    meanwhile are read under it.
    """
    known = seen or {}
    found: Seen = {}
    for folder in dataset_folders(models):
        path = path_within(models, folder) or str(folder)
        found[path] = known[path] if path in known else _look_at(models, folder, path)
    return found


def scan(models: Path, seen: Seen) -> DatasetScan:
    """The versions below ``models``; of two folders that say they are the same version one is taken.

    It is the one that lies where the version belongs, else the first.
    """
    all_seen = look(models, seen)
    refused = [item for item in all_seen.values() if isinstance(item, Refused)]
    first: dict[tuple[str, str, str], DatasetFacts] = {}
    versions = [item for item in all_seen.values() if not isinstance(item, Refused)]
    for facts in sorted(versions, key=lambda facts: (facts.path != _own_place(facts), facts.path)):
        there = first.setdefault((facts.owner, facts.name, facts.label), facts)
        if there is not facts:
            reason = text("registry.refused.double_dataset", reference=facts.reference, path=there.path)
            refused.append(Refused(facts.path, reason))
    ordered = sorted(first.values(), key=lambda facts: (facts.registered, facts.name, facts.path))
    return DatasetScan(tuple(ordered), tuple(refused))


def rebuild_rows(session: Session, found: DatasetScan) -> DatasetRescan:
    """The rows as ``found`` says."""
    before = {view.reference for view in rows.facts(session)}
    rows.clear(session)
    for facts in found.found:
        rows.add_version(session, facts)
    after = {facts.reference for facts in found.found}
    return DatasetRescan(
        datasets=len({(facts.owner, facts.name) for facts in found.found}),
        versions=len(found.found),
        added=tuple(sorted(after - before)),
        gone=tuple(sorted(before - after)),
        failed=tuple(facts.reference for facts in found.found if facts.state == "failed"),
    )


def _own_place(facts: DatasetFacts) -> str:
    return place_of(Path(), facts.name, facts.label).as_posix()


def _look_at(models: Path, folder: Path, path: str) -> DatasetFacts | Refused:
    try:
        return facts_of(models, folder, read_version(folder))
    except MissingFile as error:
        if (folder / REGISTRATION).is_file():
            return Refused(path, error.what)
        return Refused(path, text("registry.refused.not_registered", path=f"5_models/{path}"))
    except MozhuError as error:
        return Refused(path, error.what)
