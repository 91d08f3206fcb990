"""The folder of a version of a data set: where it lies, how its files get there, and what it says of itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.errors import DamagedSnapshot, MozhuError
from mozhu.kernel.files import make_folder, sha256_file, writing
from mozhu.kernel.paths import check_name
from mozhu.platform.catalog.datasets.snapshots import SnapshotFacts, read_snapshot
from mozhu.platform.catalog.datasets.views import DatasetFacts
from mozhu.platform.catalog.places import FOLDER_MODE, copy_file, path_within
from mozhu.platform.catalog.problems import Problem, fault
from mozhu.platform.catalog.views import State
from mozhu.specs.records.dataset import SNAPSHOT, DatasetRegistration
from mozhu.specs.records.manifest import ManifestFile
from mozhu.specs.records.sidecars import REGISTRATION

ROOM = "datasets"
_READ_ONLY = 0o440
_WRITING = 0o222


@dataclass(frozen=True)
class VersionFolder:
    """A registered version as it lies there: its record, and its snapshot read whole."""

    registration: DatasetRegistration
    found: SnapshotFacts
    problems: tuple[Problem, ...]

    @property
    def state(self) -> State:
        return "failed" if self.problems else "ready"


def place_of(models: Path, name: str, version: str) -> Path:
    return models / ROOM / name / version


def dataset_folders(models: Path) -> Iterator[Path]:
    """Every version folder below ``5_models/datasets``, in the order of their paths."""
    room = models / ROOM
    for folder in sorted(room.glob("*/*")) if room.is_dir() else ():
        if folder.is_dir() and ((folder / REGISTRATION).is_file() or (folder / SNAPSHOT).is_file()):
            yield folder


def bring_files(found: SnapshotFacts, target: Path, *, copy: bool) -> None:
    """Bring every file of the snapshot into ``target``: parts as hard links where that is possible, else copies.

    A linked file can no longer be written to in either place; its owner replaces it instead, as ``data prepare``
    does, and the version keeps its bytes.

    Raises:
        DamagedSnapshot: REG-015 when a file changed since it was read. DiskFull: FILE-003.
    """
    parts = {part.path for part in found.parts.values()}
    make_folder(target)
    for file in found.files:
        source, place = found.folder / file.path, target / file.path
        if copy or file.path not in parts or not _link(source, place):
            sha256 = copy_file(source, place)
        else:
            sha256 = sha256_file(place)
        if sha256 != file.sha256:
            damage = fault(file.path, "sha256", expected=file.sha256[:19], found=sha256[:19])
            raise DamagedSnapshot(path=str(found.folder), count=1, problems=damage.line())


def close_files(folder: Path) -> None:
    """No file of the version can be written to any more, and nobody outside the group reads those made here."""
    with writing(folder):
        folder.chmod(FOLDER_MODE)
        for path in folder.iterdir():
            state = path.stat()
            path.chmod(_READ_ONLY if state.st_nlink == 1 else state.st_mode & 0o777 & ~_WRITING)


def read_version(folder: Path) -> VersionFolder:
    """The version in ``folder``, every byte of it read.

    Raises:
        MissingFile, BadJson, DamagedRecord: FILE-001, FILE-004, FILE-006: its record. BadName: FILE-008.
    """
    registration = DatasetRegistration.read(folder / REGISTRATION)
    check_name(registration.name)
    check_name(registration.version)
    found = read_snapshot(folder)
    return VersionFolder(registration, found, tuple(_problems(folder, registration, found)))


def facts_of(models: Path, folder: Path, version: VersionFolder) -> DatasetFacts:
    """What the row of ``version`` says: its record, also where a file of it is damaged, and its state."""
    record = version.registration
    return DatasetFacts(
        name=record.name,
        label=record.version,
        state=version.state,
        description=record.description,
        tags=tuple(dict.fromkeys(record.tags)),
        path=path_within(models, folder) or str(folder),
        size_bytes=sum(file.size for file in record.files),
        row_count=sum(part.rows for part in record.parts.values()),
        rejected_count=record.rejected,
        parts={name: part.model_dump() for name, part in record.parts.items()},
        content=record.content,
        created=record.created,
        registered=record.registered,
        owner=record.owner,
        team=record.team,
        kind=version.found.kind,
    )


def _problems(folder: Path, record: DatasetRegistration, found: SnapshotFacts) -> Iterator[Problem]:
    """Every difference between the record and what lies there; a file is told of once."""
    if record.sha256 != record.own_sha256() or not record.is_written_at(folder / REGISTRATION):
        yield fault(REGISTRATION, "registration_changed")
    known = {part.path: part.sha256 for part in found.parts.values()}
    wrong = set()
    for file in record.files:
        problem = _file_problem(folder, file, known)
        if problem is not None:
            wrong.add(file.path)
            yield problem
    yield from (problem for problem in found.problems if problem.file not in wrong)
    if not wrong and not found.problems and found.content != record.content:
        yield fault(SNAPSHOT, "other_content", expected=record.content[:19], found=found.content[:19])


def _file_problem(folder: Path, file: ManifestFile, known: dict[str, str]) -> Problem | None:
    path = folder / file.path
    if Path(file.path).name != file.path:
        return fault(file.path, "outside")
    if not path.is_file():
        return fault(file.path, "missing")
    size = path.stat().st_size
    if size != file.size:
        return fault(file.path, "size", expected=file.size, found=size)
    try:
        sha256 = known.get(file.path) or sha256_file(path)
    except MozhuError as error:
        return fault(file.path, "unreadable", reason=error.what)
    if sha256 != file.sha256:
        return fault(file.path, "sha256", expected=file.sha256[:19], found=sha256[:19])
    return None


def _link(source: Path, place: Path) -> bool:
    if os.name == "nt":  # a file that cannot be written to cannot be replaced there either
        return False
    try:
        os.link(os.path.realpath(source), place)
    except OSError:
        return False
    return True
