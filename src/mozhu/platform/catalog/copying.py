"""A model that one may use becomes one's own, under another name: its contents are shared, not a byte is copied twice.

The copy stands by itself: what happens to the origin afterwards, its deletion included, does not touch it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    BadName,
    BadValue,
    BlobMissing,
    DamagedArtefact,
    NameTaken,
    PlaceTaken,
    VersionFailed,
)
from mozhu.kernel.files import make_folder, read_text, synced_together
from mozhu.kernel.paths import check_name
from mozhu.kernel.progress import iso_time
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.access import demand, near_names, readable
from mozhu.platform.catalog.artefacts import CERTIFICATE, MANIFEST, find_artefact, json_object
from mozhu.platform.catalog.cards import recount, write_card
from mozhu.platform.catalog.contents import record_contents
from mozhu.platform.catalog.events import COPIED, Happening
from mozhu.platform.catalog.facts import read_folder
from mozhu.platform.catalog.kinds import MODEL, Kind
from mozhu.platform.catalog.lineage import COPY_OF, add_edges, edges_of
from mozhu.platform.catalog.places import LINKED, close_folder, copy_file, move_in, place_of, staging
from mozhu.platform.catalog.problems import fault
from mozhu.platform.catalog.references import Reference, parse_reference
from mozhu.platform.catalog.reports import copy_reports
from mozhu.platform.catalog.sidecars import (
    CONFIG_SIDECAR,
    INFO,
    METRICS_SIDECAR,
    README,
    Registration,
    readme_of,
)
from mozhu.platform.catalog.words import reindex
from mozhu.platform.database.engine import Database
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.storage.folders import bring_file
from mozhu.platform.storage.local import LocalBlobs
from mozhu.specs.records.manifest import Manifest, ManifestFile
from mozhu.specs.records.sidecars import REGISTRATION, ModelInfo, write_sidecars


@dataclass(frozen=True)
class Wanted:
    """Whose the copy is to be. ``team``: all of it may use the copy; without one it is private."""

    name: str
    subject: Subject
    team: str | None
    now: datetime

    @property
    def owned(self) -> dict[str, str]:
        """Owner, team and visibility of the copy."""
        own = self.subject.teams[0] if self.subject.teams else ""
        return {
            "owner": self.subject.user,
            "team": self.team or own,
            "visibility": "team" if self.team else "private",
        }

    def time(self, number: int) -> str:
        """When the ``number``-th version was registered: the order of times is that of versions."""
        return iso_time(self.now + timedelta(milliseconds=number))


@dataclass(frozen=True)
class Original:
    """A version that is copied. ``path`` is relative to ``5_models``."""

    id: int
    reference: str
    label: str
    path: str
    state: str
    notes: str
    tags: tuple[str, ...]


def check_wanted(wanted: Wanted) -> None:
    """The name can be one, and the team is the subject's.

    Raises:
        BadName: FILE-008. BadValue: REG-025.
    """
    check_name(wanted.name)
    if any(sign in wanted.name for sign in "@:#"):
        raise BadName(name=wanted.name)
    teams = wanted.subject.teams
    if wanted.team is not None and wanted.team not in teams and not wanted.subject.is_admin:
        raise BadValue(value=wanted.team, field="team", known=list(teams) or ["-"])


def origin_of(session: Session, kind: Kind, reference: str, wanted: Wanted) -> tuple[Any, list[Original]]:
    """The row of what is to be copied, and the versions that ``reference`` names, oldest first, without damaged ones.

    Raises:
        UnknownReference: REG-001. UnknownDatasetVersion: REG-013. NotAllowed: REG-023. NameTaken: REG-026.
        VersionFailed: REG-011.
    """
    parsed = parse_reference(reference) or Reference(reference)
    table, version = kind.table, kind.version
    query = select(table).where(table.name == parsed.name, table.trashed.is_(None))
    asset = session.scalar(query.where(readable(wanted.subject, kind)))
    if asset is None:
        raise kind.unknown(reference, near_names(session, kind, parsed.name, wanted.subject))
    demand(session, wanted.subject, asset, "use", kind)
    here = select(version).where(kind.of(version) == asset.id, version.trashed.is_(None))
    versions = list(session.scalars(here.order_by(version.seq)))
    named = [_original(asset, each) for each in _named(session, kind, asset, parsed, versions)]
    if not named:
        raise kind.unknown(reference, [f"{asset.name}:{each.label}" for each in versions[-5:]])
    whole = [each for each in named if each.state in ("ready", "checking")]
    if not whole:
        raise VersionFailed(reference=named[-1].reference, path=named[-1].path)
    if session.scalar(select(table.id).where(table.name == wanted.name)) is not None:
        raise NameTaken(name=wanted.name)
    return asset, whole


def copy_model(
    database: Database, store: BlobStore, models: Path, reference: str, wanted: Wanted
) -> tuple[str, ...]:
    """The model ``reference``, or the one version that it names, is the model ``wanted.name`` too.

    Returns the references of the copies. Their folders are whole before their rows are there.

    Raises:
        As :func:`check_wanted` and :func:`origin_of`. PlaceTaken: REG-010. DamagedArtefact: REG-005, a file of the
        origin is damaged.
    """
    check_wanted(wanted)
    with database.reading() as session:
        versions = origin_of(session, MODEL, reference, wanted)[1]
    with staging(models) as room:
        staged = [(version, room / str(number)) for number, version in enumerate(versions)]
        for number, (version, folder) in enumerate(staged):
            with synced_together():
                _lay(store, models, version, folder, wanted, wanted.time(number))
        with database.writing() as session:
            origin, still = origin_of(session, MODEL, reference, wanted)
            ids = {version.id for version in still}
            return _enter(session, store, models, origin, [one for one in staged if one[0].id in ids], wanted)


def _original(asset: Any, version: Any) -> Original:
    return Original(
        id=version.id,
        reference=f"{asset.name}:{version.label}",
        label=version.label,
        path=version.path,
        state=version.state,
        notes=version.notes or "",
        tags=tuple(tag.tag for tag in version.tags),
    )


def _named(session: Session, kind: Kind, asset: Any, parsed: Reference, versions: Sequence[Any]) -> list[Any]:
    if parsed.version is None and parsed.alias is None:
        return list(versions)
    if parsed.alias == "latest":
        return list(versions[-1:])
    if parsed.alias is not None:
        alias = session.get(kind.alias, (asset.id, parsed.alias))
        return [each for each in versions if alias is not None and each.id == alias.version_id]
    return [each for each in versions if each.label == parsed.version]


def _lay(
    store: BlobStore, models: Path, version: Original, folder: Path, wanted: Wanted, registered: str
) -> None:
    """The folder of a copy: its contents, and records that name the origin."""
    origin = models / version.path
    manifest = Manifest.read(origin / MANIFEST)
    for file in manifest.files:
        _bring(store, origin, file, folder / file.path)
    for beside in (MANIFEST, CERTIFICATE):
        if (origin / beside).is_file() and not (folder / beside).exists():
            copy_file(origin / beside, folder / beside)
    told = {"model_name": wanted.name, "tags": list(version.tags)}
    info = ModelInfo.read(origin / INFO).model_copy(update=told)
    Registration(
        registered=registered,
        owner=wanted.owned["owner"],
        team=wanted.owned["team"],
        source=f"{COPY_OF}{version.reference}",
    ).write(folder / REGISTRATION)
    config, metrics = (json_object(origin / beside) for beside in (CONFIG_SIDECAR, METRICS_SIDECAR))
    readme = _readme(origin / README, version.reference, info)
    write_sidecars(folder, info, config=config, metrics=metrics, readme=readme)


def _bring(store: BlobStore, origin: Path, file: ManifestFile, target: Path) -> None:
    """Weights as hard links, of the store where it lies on this machine, else of the origin's folder."""
    source, link = origin / file.path, target.suffix in LINKED
    if isinstance(store, LocalBlobs) or not source.is_file():
        try:
            bring_file(store, file.sha256, target, link=link)
            return
        except BlobMissing:  # a release before there was a store registered it
            if not source.is_file():
                raise
    make_folder(target.parent)
    if link and _linked(source, target):
        return
    found = copy_file(source, target)
    if found != file.sha256:
        damage = fault(file.path, "sha256", expected=file.sha256[:19], found=found[:19])
        raise DamagedArtefact(path=str(origin), count=1, problems=damage.line())


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        return False
    return True


def _readme(path: Path, reference: str, info: ModelInfo) -> str:
    """The origin's page, where somebody wrote one; that which the registry makes bears the name and is made anew."""
    name, _, label = reference.partition(":")
    there = read_text(path) if path.is_file() else ""
    return readme_of(info) if not there or there.startswith(f"# {name} {label}\n") else there


def _enter(
    session: Session,
    store: BlobStore,
    models: Path,
    origin: Any,
    staged: Sequence[tuple[Original, Path]],
    wanted: Wanted,
) -> tuple[str, ...]:
    """Folders in their places and rows for them, as sole writer."""
    told: list[str] = []
    for version, folder in staged:
        info = ModelInfo.read(folder / INFO)
        target = place_of(
            models,
            find_artefact(folder),
            model_type=info.model_type,
            name=wanted.name,
            version=version.label,
        )
        if target.exists():
            raise PlaceTaken(path=str(target), holder=target.name)
        close_folder(folder)
        move_in(folder, target)
        record_contents(session, store, target, Manifest.read(target / MANIFEST))
        found = read_folder(models, target, hashes=False)
        view = rows.add_version(session, found.facts, found.files)
        add_edges(session, edges_of(target, found.facts))
        # Who may read the copy need not know of the origin: that is for the family, which asks who may.
        details = {"by": wanted.subject.user}
        rows.add_history(session, [Happening(COPIED, view.name, view.label, details)], iso_time(wanted.now))
        told.append(view.reference)
    describe_copy(session, models, MODEL, origin, [version for version, _ in staged], wanted)
    return tuple(told)


def describe_copy(
    session: Session, models: Path, kind: Kind, origin: Any, versions: Sequence[Original], wanted: Wanted
) -> None:
    """The copy says what the origin says of itself, and is its new owner's."""
    asset = session.scalars(select(kind.table).where(kind.table.name == wanted.name)).one()
    for field in kind.editable:
        setattr(asset, field, getattr(origin, field))
    asset.visibility = wanted.owned["visibility"]
    by_label = {version.label: version for version in versions}
    table = kind.version
    for copied in session.scalars(select(table).where(kind.of(table) == asset.id)):
        copied.notes = by_label[copied.label].notes
        if kind is MODEL:
            copy_reports(session, by_label[copied.label].id, copied.id)
    recount(session, asset, kind)
    reindex(session, kind, asset)
    write_card(models, session, asset, kind)
