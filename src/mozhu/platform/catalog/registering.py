"""How a version comes into the catalogue: checked, its files placed whole, then its row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    BadName,
    DamagedArtefact,
    FailedCertificate,
    MozhuError,
    PlaceTaken,
    VersionTaken,
)
from mozhu.kernel.files import reading, sync_folder, synced_together
from mozhu.kernel.paths import check_name, next_version
from mozhu.kernel.progress import iso_time
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.artefacts import MANIFEST, Artefact
from mozhu.platform.catalog.contents import put_contents, record_contents
from mozhu.platform.catalog.events import REGISTERED, Happening
from mozhu.platform.catalog.facts import read_folder
from mozhu.platform.catalog.lineage import add_edges, edges_of
from mozhu.platform.catalog.places import bring_files, close_folder, move_in, path_within, place_of, staging
from mozhu.platform.catalog.reports import Told, attach_of_run, report_of_run
from mozhu.platform.catalog.showing import BY_CHECKSUM
from mozhu.platform.catalog.sidecars import Known, Registration, Wishes, describe, write_version
from mozhu.platform.catalog.validate import Inspection, inspect_artefact, make_artefact_manifest
from mozhu.platform.catalog.views import Registered, VersionView
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables import LOCAL
from mozhu.platform.storage.blobs import BlobStore
from mozhu.specs.records.manifest import Manifest


@dataclass(frozen=True)
class Admission:
    """Of a version that somebody waits for: what else happens in the transaction of its row, all of it or nothing.

    ``may`` is asked first and raises when nobody waits any more; ``done`` gets the version. ``reservation`` is the
    import that holds the version's name.
    """

    reservation: str
    may: Callable[[Session], None]
    done: Callable[[Session, VersionView], None]


@dataclass(frozen=True)
class Candidate:
    """An artefact that has passed its checks and is not a version yet.

    ``told`` goes into ``registration.json`` beside what stands there always; ``holder`` are owner and team of a model
    that is not there yet.
    """

    artefact: Artefact
    wishes: Wishes
    known: Known
    manifest: Manifest
    inspection: Inspection
    source: str
    now: datetime
    told: dict[str, Any] = field(default_factory=dict)
    holder: tuple[str, str] = (LOCAL, LOCAL)
    admission: Admission | None = None
    report: Told | None = None


def check_candidate(artefact: Artefact, wishes: Wishes, *, source: str, now: datetime) -> Candidate:
    """The artefact with its hashes and everything known of it.

    Raises:
        FailedCertificate: REG-004 with the failed checks. DamagedArtefact: REG-005 with every problem.
        BadName: FILE-008. BadJson: FILE-004. DamagedRecord: FILE-006.
    """
    inspection = inspect_artefact(artefact)
    if inspection.failed_checks:
        lines = [problem.line() for problem in inspection.errors if problem.code == "check_failed"]
        raise FailedCertificate(path=str(artefact.path), checks="\n  ".join(lines), count=len(lines))
    # The old sidecars of a folder that is registered anew are replaced: what they say of sizes is no damage.
    errors = [problem for problem in inspection.errors if problem.code != "checksum"]
    if errors:
        lines = [problem.line() for problem in errors]
        raise DamagedArtefact(path=str(artefact.path), count=len(lines), problems="\n  ".join(lines))
    known = describe(artefact, wishes, now)
    check_name(known.name)
    if "@" in known.name:  # `name@alias` is a reference
        raise BadName(name=known.name)
    if wishes.version:
        check_name(wishes.version)
    manifest = make_artefact_manifest(artefact, inspection.manifest)
    report = report_of_run(artefact.run.folder) if artefact.run else None
    return Candidate(artefact, wishes, known, manifest, inspection, source, now, report=report)


def register_candidate(
    database: Database, store: BlobStore, models: Path, candidate: Candidate, *, copy: bool
) -> Registered:
    """The candidate as a version: the one of the same content, else a new one.

    Its folder is whole before its row is there, so a kill at any moment leaves no row without files.

    Raises:
        VersionTaken: REG-002. PlaceTaken: REG-010. DiskFull: FILE-003. NotWritable: FILE-002.
    """
    there = _same_content(database, candidate)
    if there is not None:
        return Registered(there, already=True)
    in_place = (
        not candidate.artefact.is_single_file and path_within(models, candidate.artefact.path) is not None
    )
    if in_place:
        put_contents(store, candidate.artefact.path, candidate.manifest)
        with database.writing() as session:
            return _enter(session, store, models, candidate, staged=None)
    with staging(models) as staged:
        with synced_together():
            bring_files(candidate.artefact, candidate.manifest, staged, copy=copy)
            put_contents(store, staged, candidate.manifest)
        with database.writing() as session:
            return _enter(session, store, models, candidate, staged=staged)


def _same_content(database: Database, candidate: Candidate) -> VersionView | None:
    asked = BY_CHECKSUM.of(name=candidate.known.name, checksum=candidate.manifest.sha256)
    found = database.ask(asked)[0]
    return rows.LISTING.version_of(found[0]) if found else None


def _enter(
    session: Session, store: BlobStore, models: Path, candidate: Candidate, *, staged: Path | None
) -> Registered:
    """Choose the version, write the sidecars, put the folder in its place, add its row, as sole writer."""
    there = rows.version_by_checksum(session, candidate.known.name, candidate.manifest.sha256)
    if there is not None:
        return Registered(there, already=True)
    standing = rows.standing(session, candidate.known.name)
    if candidate.admission is not None:
        candidate.admission.may(session)
    label, target = _free_place(session, models, candidate, staged, standing)
    if staged is None or not target.exists():
        folder = staged or target
        with synced_together() if staged is not None else nullcontext():
            owner, team = standing.holder or candidate.holder
            registration = Registration(
                registered=_time_after(standing.newest, candidate),
                owner=owner,
                team=team,
                source=candidate.source,
                **candidate.told,
            )
            _write_records(folder, candidate, label, registration)
            if staged is not None:
                close_folder(staged)
                sync_folder(staged)
        if staged is not None:
            move_in(staged, target, is_synced=True)
    record_contents(session, store, target, candidate.manifest)
    found = read_folder(models, target, hashes=False)
    view = rows.add_version(session, found.facts, found.files)
    add_edges(session, edges_of(target, found.facts))
    if candidate.report is not None:
        attach_of_run(session, store, models, view.reference, candidate.report)
    details = {"path": view.path, "source": candidate.source, "state": view.state, "checksum": view.checksum}
    happening = Happening(REGISTERED, view.name, view.label, details)
    rows.add_history(session, [happening], iso_time(candidate.now))
    if candidate.admission is not None:
        candidate.admission.done(session, view)
    shown = tuple(
        problem
        for problem in candidate.inspection.problems
        if problem.code not in ("no_sidecar", "no_manifest")
    )
    return Registered(view, already=False, warnings=tuple(item for item in shown if item.level == "warning"))


def _free_place(
    session: Session, models: Path, candidate: Candidate, staged: Path | None, standing: rows.Standing
) -> tuple[str, Path]:
    """The version's name and folder.

    A whole folder without a row (its registration was killed) is taken as it is when its content is the same,
    and passed by when it is not.
    """
    label = _label(session, candidate, standing.labels)
    if staged is None:
        target = candidate.artefact.path
        holder = rows.version_at(session, path_within(models, target) or "")
        if holder is not None:
            raise PlaceTaken(path=str(target), holder=holder.reference)
        return label, target
    while True:
        target = place_of(
            models,
            candidate.artefact,
            model_type=candidate.known.model_type,
            name=candidate.known.name,
            version=label,
        )
        if not target.exists() or _is_left_over(models, target, candidate, label):
            return label, target
        if candidate.wishes.version:
            raise PlaceTaken(path=str(target), holder=str(target.name))
        label = next_version(label)


def _label(session: Session, candidate: Candidate, labels: Sequence[str]) -> str:
    mine = candidate.admission.reservation if candidate.admission else None
    taken = {*labels, *rows.reserved_labels(session, candidate.known.name, but=mine)}
    if candidate.wishes.version:
        if candidate.wishes.version in taken:
            raise VersionTaken(
                name=candidate.known.name, version=candidate.wishes.version, known=sorted(taken)
            )
        return candidate.wishes.version
    if not taken:
        return check_name(candidate.known.version) if candidate.known.version else next_version(None)
    label = next_version(labels[0] if labels else None)
    while label in taken:
        label = next_version(label)
    return label


def _is_left_over(models: Path, target: Path, candidate: Candidate, label: str) -> bool:
    try:
        found = read_folder(models, target, hashes=True)
    except MozhuError:
        return False
    same = (candidate.known.name, label, candidate.manifest.sha256)
    return (found.facts.name, found.facts.label, found.facts.checksum) == same and not found.inspection.errors


def _time_after(newest: str, candidate: Candidate) -> str:
    """Now, and later than the model's ``newest`` version: the order of times is the order of registration."""
    now = candidate.now.astimezone(timezone.utc)
    if newest:
        last = datetime.fromisoformat(newest.replace("Z", "+00:00"))
        now = max(now, last + timedelta(milliseconds=1))
    return iso_time(now)


def _write_records(folder: Path, candidate: Candidate, label: str, registration: Registration) -> None:
    """``manifest.json``, ``registration.json`` and the sidecars; ``model_info.json`` comes last."""
    manifest = candidate.inspection.manifest
    if manifest is None or manifest.sha256 != candidate.manifest.sha256 or not (folder / MANIFEST).is_file():
        candidate.manifest.write(folder / MANIFEST)
    info = candidate.known.info(
        version=label, size_bytes=candidate.manifest.size_bytes, checksum=candidate.manifest.sha256
    )
    known = replace(candidate.known, version=label)
    with reading(folder):
        write_version(folder, known, info, registration)
