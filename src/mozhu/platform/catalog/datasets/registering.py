"""How a snapshot becomes a version: read whole, its files placed whole, then its row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from sqlalchemy import true
from sqlalchemy.orm import Session

from mozhu.kernel.errors import DamagedSnapshot, InTrash, MozhuError, PlaceTaken, VersionTaken
from mozhu.kernel.paths import next_version
from mozhu.kernel.progress import iso_time
from mozhu.platform.catalog.datasets import folders, rows
from mozhu.platform.catalog.datasets.snapshots import SnapshotFacts, read_snapshot
from mozhu.platform.catalog.datasets.views import DatasetVersionView, RegisteredDataset
from mozhu.platform.catalog.events import OF_DATASET, REGISTERED, Happening
from mozhu.platform.catalog.kinds import DATASET
from mozhu.platform.catalog.places import move_in, staging
from mozhu.platform.catalog.rows import add_history
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables import LOCAL
from mozhu.specs.records.dataset import DatasetRegistration, RegisteredPart
from mozhu.specs.records.sidecars import REGISTRATION
from mozhu.workspace.places import check_dataset_name


@dataclass(frozen=True)
class DatasetWishes:
    """What the caller said; ``None`` and empty mean: take what the snapshot says."""

    name: str | None = None
    version: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A snapshot that has passed its checks and is not a version yet."""

    name: str
    found: SnapshotFacts
    wishes: DatasetWishes
    source: str
    now: datetime


def check_candidate(folder: Path, wishes: DatasetWishes, *, source: str, now: datetime) -> Candidate:
    """The snapshot in ``folder``, read from end to end.

    Raises:
        DamagedSnapshot: REG-015 with every problem. BadName: FILE-008.
    """
    found = read_snapshot(folder)
    if found.errors or found.snapshot is None:
        lines = [problem.line() for problem in found.problems]
        raise DamagedSnapshot(path=str(folder), count=len(lines), problems="\n  ".join(lines))
    name = check_dataset_name(wishes.name or found.snapshot.name)
    if wishes.version:
        check_dataset_name(wishes.version)
    return Candidate(name, found, wishes, source, now)


def register_candidate(
    database: Database, models: Path, candidate: Candidate, *, copy: bool
) -> RegisteredDataset:
    """The candidate as a version: the one of the same content, else a new one.

    Its folder is whole before its row is there, so a kill at any moment leaves no row without files.

    Raises:
        VersionTaken: REG-002. PlaceTaken: REG-010. InTrash: REG-020. DiskFull: FILE-003. NotWritable: FILE-002.
    """
    with database.reading() as session:
        there = _same_content(session, models, candidate)
    if there is not None:
        return RegisteredDataset(there, already=True)
    with staging(models) as staged:
        folders.bring_files(candidate.found, staged, copy=copy)
        with database.writing() as session:
            return _enter(session, models, candidate, staged)


def _same_content(session: Session, models: Path, candidate: Candidate) -> DatasetVersionView | None:
    """The version of this content, where its folder is still there."""
    there = rows.version_by_content(session, candidate.name, candidate.found.content)
    return there if there is not None and (models / there.path / REGISTRATION).is_file() else None


def _enter(session: Session, models: Path, candidate: Candidate, staged: Path) -> RegisteredDataset:
    """Choose the version, write its record, put the folder in its place, add its row, as sole writer."""
    there = _same_content(session, models, candidate)
    if there is not None:
        return RegisteredDataset(there, already=True)
    holder = rows.holder_of(session, candidate.name)
    if holder is not None and holder.trashed is not None:
        raise InTrash(reference=candidate.name, group=DATASET.group)
    label, target = _free_place(session, models, candidate)
    if target.exists():
        version = folders.read_version(target)
    else:
        owner, team = (holder.owner, holder.team) if holder else (LOCAL, LOCAL)
        record = _record(candidate, label, _time_after(session, candidate), owner, team)
        record.write(staged / REGISTRATION)
        folders.close_files(staged)
        move_in(staged, target)
        version = folders.VersionFolder(record, candidate.found, ())
    view = rows.add_version(session, folders.facts_of(models, target, version))
    details = {"path": view.path, "source": candidate.source, "state": view.state, "content": view.content}
    happening = Happening(REGISTERED, view.name, view.label, details, OF_DATASET)
    add_history(session, [happening], iso_time(candidate.now))
    return RegisteredDataset(view, already=False)


def _free_place(session: Session, models: Path, candidate: Candidate) -> tuple[str, Path]:
    """The version's name and folder.

    A whole folder without a row (its registration was killed) is taken as it is when its content is the same,
    and passed by when it is not.
    """
    label = _label(session, candidate)
    while True:
        target = folders.place_of(models, candidate.name, label)
        if not target.exists() or _is_left_over(target, candidate, label):
            return label, target
        if candidate.wishes.version:
            raise PlaceTaken(path=str(target), holder=target.name)
        label = next_version(label)


def _label(session: Session, candidate: Candidate) -> str:
    labels = rows.labels(session, candidate.name)
    taken = set(labels)
    wished = candidate.wishes.version
    if wished:
        if wished in taken:
            raise VersionTaken(name=candidate.name, version=wished, known=sorted(taken))
        return wished
    label = next_version(labels[0] if labels else None)
    while label in taken:
        label = next_version(label)
    return label


def _is_left_over(target: Path, candidate: Candidate, label: str) -> bool:
    try:
        there = folders.read_version(target)
    except MozhuError:
        return False
    record = there.registration
    same = (candidate.name, label, candidate.found.content)
    return not there.problems and (record.name, record.version, record.content) == same


def _time_after(session: Session, candidate: Candidate) -> str:
    """Now, and later than the newest version: the order of times is the order of registration."""
    now = candidate.now.astimezone(timezone.utc)
    versions: list[DatasetVersionView] = rows.versions_of(session, candidate.name, true())
    if versions:
        last = datetime.fromisoformat(versions[0].registered.replace("Z", "+00:00"))
        now = max(now, last + timedelta(milliseconds=1))
    return iso_time(now)


def _record(candidate: Candidate, label: str, registered: str, owner: str, team: str) -> DatasetRegistration:
    found, wishes = candidate.found, candidate.wishes
    assert found.snapshot is not None
    return DatasetRegistration.make(
        name=candidate.name,
        version=label,
        registered=registered,
        owner=owner,
        team=team,
        source=candidate.source,
        description=wishes.description or "",
        tags=list(dict.fromkeys(wishes.tags)),
        created=found.snapshot.created,
        parts={name: RegisteredPart(**part.to_json()) for name, part in found.parts.items()},
        rejected=found.snapshot.rejected,
        row_ids=found.row_ids,
        content=found.content,
        files=list(found.files),
    )
