"""The data sets of a workspace: their rules, and one plain function for each of their verbs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import true
from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    DatasetFailed,
    MissingFile,
    MozhuError,
    UnknownDatasetVersion,
    UnknownRow,
)
from mozhu.kernel.files import sha256_json
from mozhu.kernel.progress import iso_time
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog import rows as model_rows
from mozhu.platform.catalog.access import demand, near_names, readable, readable_datasets
from mozhu.platform.catalog.assets import Assets
from mozhu.platform.catalog.copying import Wanted
from mozhu.platform.catalog.datasets import rows
from mozhu.platform.catalog.datasets.copying import copy_dataset
from mozhu.platform.catalog.datasets.folders import read_version
from mozhu.platform.catalog.datasets.registering import DatasetWishes, check_candidate, register_candidate
from mozhu.platform.catalog.datasets.snapshots import (
    SnapshotFacts,
    find_row,
    find_snapshot,
    first_row_id,
    read_snapshot,
)
from mozhu.platform.catalog.datasets.views import (
    DatasetDetail,
    DatasetReport,
    DatasetRow,
    DatasetVersionView,
    DatasetView,
    RegisteredDataset,
)
from mozhu.platform.catalog.events import OF_DATASET, OF_STATE, Happening
from mozhu.platform.catalog.kinds import DATASET, Kind
from mozhu.platform.catalog.places import path_within
from mozhu.platform.catalog.problems import Problem, fault
from mozhu.platform.catalog.references import LATEST, Reference, parse_reference
from mozhu.platform.catalog.searching import ModelQuery, Page, page_of
from mozhu.platform.catalog.views import State
from mozhu.specs.datasets import DatasetRegisterSpec, DatasetShowSpec, DatasetValidateSpec
from mozhu.specs.records.dataset import SNAPSHOT, DatasetRegistration
from mozhu.specs.records.sidecars import REGISTRATION
from mozhu.specs.records.snapshot import Snapshot

_ROWS = re.compile(r"#\d+$")
_SHOWN = 5
_PAGE = 200


class Datasets(Assets):
    """The data sets of one workspace, in the catalogue that its models are in."""

    kind: ClassVar[Kind] = DATASET

    def list_datasets(
        self, search: str | None = None, state: State | None = None, *, subject: Subject = LOCAL_ADMIN
    ) -> list[DatasetView]:
        """Every data set that ``subject`` may read with its newest version (in ``state``), last changed first."""
        asked = ModelQuery(search=search or "", state=state)
        return list(self.all_datasets(asked, subject=subject))

    def all_datasets(self, asked: ModelQuery, *, subject: Subject = LOCAL_ADMIN) -> Iterator[DatasetView]:
        """Every data set that is asked for, page after page."""
        after = None
        while True:
            page = self.page(asked, subject=subject, limit=_PAGE, after=after)
            yield from page.items
            after = page.next
            if after is None:
                return

    def page(
        self,
        asked: ModelQuery,
        *,
        subject: Subject = LOCAL_ADMIN,
        limit: int = 50,
        after: tuple[Any, ...] | None = None,
    ) -> Page[DatasetView]:
        """A page of the data sets that ``subject`` may read, with their newest versions (in the state asked for).

        ``after`` is ``next`` of the page before.
        """
        database = self._existing()
        if database is None:
            return Page((), None)
        return page_of(database, subject, asked, limit, after, rows.LISTING)

    def register(
        self,
        path: str | Path,
        name: str | None = None,
        version: str | None = None,
        tags: tuple[str, ...] = (),
        description: str | None = None,
        *,
        copy: bool = False,
    ) -> RegisteredDataset:
        """The snapshot at ``path`` (its folder, its ``snapshot.json``, the run that made it) as a version.

        It is brought under ``5_models/datasets``, its parts as hard links where the file system allows it
        (``copy``: never), and can no longer be written to. The same content again gives its version.

        Raises:
            VersionTaken: REG-002. PlaceTaken: REG-010. NotPrepared: REG-012. DamagedSnapshot: REG-015 with
            every problem. MissingFile: FILE-001. BadName: FILE-008.
        """
        wishes = DatasetWishes(name, version, tuple(tags), description)
        folder = find_snapshot(Path(path).expanduser())
        candidate = check_candidate(folder, wishes, source=str(path), now=self._clock())
        return register_candidate(self._opened(), self.models, candidate, copy=copy)

    def copy(
        self, reference: str, name: str, *, team: str | None = None, subject: Subject = LOCAL_ADMIN
    ) -> tuple[str, ...]:
        """The data set ``reference``, or the one version that it names, is ``name`` too, and ``subject`` its owner.

        Args:
            team: One of the subject's, which may use the copy; without one the copy is private.

        Raises:
            UnknownDatasetVersion: REG-013. NotAllowed: REG-023, it takes the right to use. NameTaken: REG-026.
            VersionFailed: REG-011. BadName: FILE-008. BadValue: REG-025, not a team of theirs.
        """
        if self._existing() is None:
            raise UnknownDatasetVersion(reference=reference, known=["-"])
        return copy_dataset(
            self._opened(), self.models, reference, Wanted(name, subject, team, self._clock())
        )

    def show(self, reference: str, *, subject: Subject = LOCAL_ADMIN) -> DatasetDetail:
        """A data set, its versions and its history; ``chosen`` is the version that ``reference`` names.

        Raises:
            UnknownDatasetVersion: REG-013 with the nearest names.
        """
        wanted = _parsed(reference)
        database = self._existing()
        if database is None:
            raise UnknownDatasetVersion(reference=reference, known=["-"])
        with database.reading() as session:
            may = readable_datasets(subject)
            dataset = rows.dataset_named(session, wanted.name, may)
            if dataset is None:
                raise DATASET.unknown(reference, near_names(session, DATASET, wanted.name, subject))
            versions = rows.versions_of(session, wanted.name, may)
            chosen = _choose(session, wanted, versions)
            used_by = model_rows.trained_on(session, chosen.reference, readable(subject))
            history = model_rows.history_of(session, wanted.name, OF_DATASET, subject)
        folder = self.folder_of(chosen)
        files = tuple(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else ()
        return DatasetDetail(
            dataset,
            chosen,
            tuple(versions),
            _recipe(folder),
            files,
            tuple(used_by),
            tuple(history),
        )

    def row(self, reference: str, wanted: str, *, subject: Subject = LOCAL_ADMIN) -> DatasetRow:
        """The row ``wanted`` of a version: ``118``, or the whole id ``name:v3#118`` as training shows it.

        Raises:
            UnknownDatasetVersion: REG-013. DatasetFailed: REG-014. UnknownRow: DATA-030.
        """
        folder = self.resolve(reference, subject=subject)
        record = DatasetRegistration.read(folder / REGISTRATION)
        row_id = wanted if wanted.startswith(f"{record.reference}#") else f"{record.reference}#{wanted}"
        found = find_row(folder, row_id, ids=record.row_id)
        if found is None:
            count = sum(part.rows for part in record.parts.values())
            first = record.row_id(first_row_id(folder))
            raise UnknownRow(row=wanted, dataset=record.reference, count=count, first=first)
        return DatasetRow(row_id, *found)

    def resolve(self, reference: str, *, subject: Subject = LOCAL_ADMIN) -> Path:
        """The folder of the version that ``reference`` names.

        Raises:
            UnknownDatasetVersion: REG-013. DatasetFailed: REG-014, found damaged. MissingFile: FILE-001, its
            folder is gone.
        """
        version = self._version(reference, subject)
        path = self.folder_of(version)
        if version.state == "failed":
            raise DatasetFailed(reference=version.reference, path=str(path))
        if not path.exists():
            raise MissingFile(path=str(path))
        return path

    def has_dataset(self, name: str) -> bool:
        database = self._existing()
        if database is None:
            return False
        with database.reading() as session:
            return bool(rows.versions_of(session, name, true()))

    def folder_of(self, version: DatasetVersionView) -> Path:
        return self.models / version.path

    def validate(self, target: str | Path) -> DatasetReport:
        """Everything that is wrong at ``target``, a folder or a reference; a version there gets its state.

        Raises:
            MissingFile: FILE-001. NotPrepared: REG-012. UnknownDatasetVersion: REG-013.
        """
        folder = self._place(str(target))
        found, problems = _inspected(folder, registered=self._at(folder) is not None)
        known = self._follow(folder, problems)
        return DatasetReport(
            path=str(folder),
            reference=known.reference if known else None,
            state=known.state if known else None,
            row_count=found.row_count,
            file_count=len(found.files),
            size_bytes=found.size_bytes,
            content=found.content,
            problems=problems,
        )

    def validate_version(self, reference: str, *, subject: Subject = LOCAL_ADMIN) -> DatasetReport:
        """As :meth:`validate`, of a registered version only: never of a path, and for who may write to it.

        Raises:
            UnknownDatasetVersion: REG-013. NotAllowed: REG-023. MissingFile: FILE-001.
        """
        version = self._version(reference, subject)
        with self._seeing(reference, subject) as (session, dataset):
            demand(session, subject, dataset, "write", DATASET)
        folder = self.folder_of(version)
        if not folder.is_dir():
            raise MissingFile(path=version.path)
        return self.validate(folder)

    def fingerprint(self) -> str:
        """``sha256:…`` of everything that the rows say; equal after a rescan of an unchanged tree."""
        database = self._existing()
        if database is None:
            return sha256_json([])
        with database.reading() as session:
            versions = [{**view.to_json(), "seq": None} for view in rows.facts(session)]
        return sha256_json([versions, self.cards_fingerprint()])

    def _version(self, reference: str, subject: Subject) -> DatasetVersionView:
        wanted = _parsed(reference)
        database = self._existing()
        if database is None:
            raise UnknownDatasetVersion(reference=reference, known=["-"])
        with database.reading() as session:
            versions = rows.versions_of(session, wanted.name, readable_datasets(subject))
            if versions:
                return _choose(session, wanted, versions)
            raise DATASET.unknown(reference, near_names(session, DATASET, wanted.name, subject))

    def _users(self, session: Session, subject: Subject, reference: str) -> Sequence[str]:
        """Running runs, and models that were trained on it; those that ``subject`` may not read are only counted."""
        trained = model_rows.trained_on(session, reference, true())
        shown = model_rows.trained_on(session, reference, readable(subject))
        hidden = len(trained) - len(shown)
        return [*self._in_use(reference), *shown, *([f"+{hidden}"] if hidden else [])]

    def _place(self, target: str) -> Path:
        """The folder of a snapshot at the path ``target``, else that of a reference, failed ones too."""
        path = Path(target).expanduser()
        if path.exists():
            inside = path_within(self.models, path)
            return path.absolute() if inside and self._at(path) is not None else find_snapshot(path)
        if parse_reference(target) is None or self._existing() is None:
            raise MissingFile(path=target)
        folder = self.folder_of(self._version(target, LOCAL_ADMIN))
        if not folder.is_dir():
            raise MissingFile(path=str(folder))
        return folder

    def _at(self, folder: Path) -> DatasetVersionView | None:
        relative, database = path_within(self.models, folder), self._existing()
        if relative is None or database is None:
            return None
        with database.reading() as session:
            return rows.version_at(session, relative)

    def _follow(self, folder: Path, problems: tuple[Problem, ...]) -> DatasetVersionView | None:
        """The version that lies in ``folder``, in the state that ``problems`` give it."""
        version = self._at(folder)
        state: State = "failed" if problems else "ready"
        if version is None or version.state == state:
            return version
        with self._opened().writing() as session:
            version = rows.set_state(session, version, state)
            details = {"errors": [problem.to_json() for problem in problems]}
            happening = Happening(OF_STATE[state], version.name, version.label, details, OF_DATASET)
            model_rows.add_history(session, [happening], iso_time(self._clock()))
        return version


def datasets_register(root: Path, spec: DatasetRegisterSpec) -> RegisteredDataset:
    with Datasets(root) as datasets:
        return datasets.register(
            spec.path, spec.name, spec.version, spec.tags, spec.description, copy=spec.copy_files
        )


def datasets_show(root: Path, spec: DatasetShowSpec) -> DatasetDetail:
    with Datasets(root) as datasets:
        return datasets.show(spec.name)


def datasets_row(root: Path, reference: str, row: str) -> DatasetRow:
    with Datasets(root) as datasets:
        return datasets.row(reference, row)


def datasets_validate(root: Path, spec: DatasetValidateSpec) -> DatasetReport:
    with Datasets(root) as datasets:
        return datasets.validate(spec.path)


def find_dataset(root: Path, value: str) -> Path | None:
    """The folder behind ``value`` when it names a registered data set; ``None`` when it is something else.

    ``#rows`` may follow and stays. What exists as a path is a path; a plain name that is not registered may be
    one under ``data/`` or a hub's, so it is ``None`` too; an unknown version of a registered one is an error.

    Raises:
        UnknownDatasetVersion: REG-013. DatasetFailed: REG-014. MissingFile: FILE-001.
    """
    rows_asked = _ROWS.search(value)
    named = value[: rows_asked.start()] if rows_asked else value
    parsed = parse_reference(named)
    if parsed is None or Path(value).expanduser().exists() or Path(named).expanduser().exists():
        return None
    with Datasets(root) as datasets:
        if not datasets.has_dataset(parsed.name):
            return None
        folder = datasets.resolve(named)
    return folder.with_name(folder.name + rows_asked[0]) if rows_asked else folder


def _inspected(folder: Path, *, registered: bool) -> tuple[SnapshotFacts, tuple[Problem, ...]]:
    """The snapshot in ``folder`` and all its problems: against its record where it has one, or should have one."""
    if not registered and not (folder / REGISTRATION).is_file():
        found = read_snapshot(folder)
        return found, found.problems
    try:
        version = read_version(folder)
    except MozhuError as error:
        found = read_snapshot(folder)
        gone = not (folder / REGISTRATION).is_file()
        record = (
            fault(REGISTRATION, "missing") if gone else fault(REGISTRATION, "unreadable", reason=error.what)
        )
        return found, (record, *found.problems)
    return version.found, version.problems


def _parsed(reference: str) -> Reference:
    parsed = parse_reference(reference)
    if parsed is None:
        raise UnknownDatasetVersion(reference=reference, known=["-"])
    return parsed


def _choose(session: Session, wanted: Reference, versions: list[DatasetVersionView]) -> DatasetVersionView:
    label = wanted.version
    if label is None and wanted.alias in (None, LATEST):
        return versions[0]
    if label is None:
        label = rows.alias_label(session, wanted.name, str(wanted.alias))
    found = [version for version in versions if version.label == label]
    if not found:
        known = [version.reference for version in versions[:_SHOWN]] + [f"{wanted.name}@{LATEST}"]
        raise UnknownDatasetVersion(reference=str(wanted), known=known)
    return found[0]


def _recipe(folder: Path) -> dict[str, Any]:
    try:
        snapshot = Snapshot.read(folder / SNAPSHOT).to_json()
    except MozhuError:
        return {}
    return {name: value for name, value in snapshot.items() if name not in ("schema", "parts")}
