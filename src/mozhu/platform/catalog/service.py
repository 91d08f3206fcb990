"""The registry of a workspace: its rules, and one plain function for each of its verbs.

``5_models/catalog.db`` is made by the first verb that writes; reading where there is none finds nothing and
makes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from mozhu.kernel.errors import MissingFile, UnknownReference, VersionFailed
from mozhu.kernel.files import sha256_json
from mozhu.kernel.progress import iso_time
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.access import (
    demand,
    demand_administrator,
    demand_readable,
    near_names,
    readable_history,
)
from mozhu.platform.catalog.artefacts import MANIFEST, Artefact, find_artefact
from mozhu.platform.catalog.events import OF_STATE, Happening
from mozhu.platform.catalog.facts import state_of
from mozhu.platform.catalog.kinds import MODEL
from mozhu.platform.catalog.places import path_within
from mozhu.platform.catalog.references import LATEST, Reference, parse_reference
from mozhu.platform.catalog.registering import check_candidate, register_candidate
from mozhu.platform.catalog.rescanning import rebuild
from mozhu.platform.catalog.room import CatalogueRoom
from mozhu.platform.catalog.showing import shown, unknown_version
from mozhu.platform.catalog.sidecars import Wishes
from mozhu.platform.catalog.validate import Inspection, inspect_artefact
from mozhu.platform.catalog.views import (
    ModelDetail,
    ModelView,
    Registered,
    RescanReport,
    ValidationReport,
    VersionView,
)
from mozhu.specs.records.manifest import Manifest, ManifestFile
from mozhu.specs.registry import RegisterSpec, RescanSpec, ShowSpec, ValidateSpec


class Registry(CatalogueRoom):
    """The models of one workspace."""

    def list_models(self, search: str | None = None) -> list[ModelView]:
        """Every model with its newest version, last changed first; ``search`` is a part of its words."""
        database = self._existing()
        if database is None:
            return []
        with database.reading() as session:
            return rows.models(session, search)

    def register(
        self,
        path: str | Path,
        name: str | None = None,
        version: str | None = None,
        base_model: str | None = None,
        task: str | None = None,
        tags: tuple[str, ...] = (),
        description: str | None = None,
        model_type: str | None = None,
        *,
        copy: bool = False,
    ) -> Registered:
        """What lies at ``path`` (a model, an adapter, a GGUF file or a run) as a version of a model.

        A folder below ``5_models`` is registered where it lies; anything else is brought into seed 000's
        tree, its weights as hard links where the file system allows it (``copy``: never), so that the version
        outlives the folder it came from. The same content again changes nothing and gives its version.

        Raises:
            VersionTaken: REG-002. NothingToRegister: REG-003. FailedCertificate: REG-004.
            DamagedArtefact: REG-005 with every problem. RunWithoutArtefact: REG-009. PlaceTaken: REG-010.
            MissingFile: FILE-001. BadName: FILE-008.
        """
        wishes = Wishes(name, version, base_model, task, tuple(tags), description, model_type)
        artefact = find_artefact(Path(path).expanduser())
        candidate = check_candidate(artefact, wishes, source=str(path), now=self._clock())
        return register_candidate(self._opened(), self.store, self.models, candidate, copy=copy)

    def show(
        self,
        reference: str,
        *,
        subject: Subject = LOCAL_ADMIN,
        limit: int | None = None,
        before: int | None = None,
    ) -> ModelDetail:
        """A model, its versions and its history; ``chosen`` is the version that ``reference`` names.

        Args:
            limit: How many versions, newest first; ``None``: all. ``next`` of the answer leads to those that follow.
            before: Only versions with a lower number than this.

        Raises:
            UnknownReference: REG-001 with the nearest names.
        """
        wanted = self._parsed(reference)
        database = self._existing()
        found = shown(database, subject, wanted, limit, before) if database is not None else None
        if found is not None:
            return found
        with self._looking(reference, wanted, subject) as session:
            raise _unknown(session, reference, wanted.name, subject)

    def version(self, reference: str, *, subject: Subject = LOCAL_ADMIN) -> VersionView:
        """The version that ``reference`` names, without its model's others.

        Raises:
            UnknownReference: REG-001 with the nearest names.
        """
        wanted = self._parsed(reference)
        with self._looking(reference, wanted, subject) as session:
            newest = rows.newest_version(session, wanted.name)
            if newest is None:
                raise _unknown(session, reference, wanted.name, subject)
            return _chosen(session, wanted, newest)

    def files(self, version: VersionView) -> list[ManifestFile]:
        """The files of a version, by their paths: by its rows, or by its manifest where a release before wrote none.

        Raises:
            MissingFile: FILE-001, there is neither.
        """
        with self._opened().reading() as session:
            found = rows.files_of(session, version)
        if not found:
            found = list(Manifest.read(self.folder_of(version) / MANIFEST).files)
        return sorted(found, key=lambda file: file.path)

    def resolve(self, reference: str) -> Path:
        """The folder of the version that ``reference`` names.

        Raises:
            UnknownReference: REG-001. VersionFailed: REG-011, found damaged. MissingFile: FILE-001, its
            folder is gone.
        """
        version = self.version(reference)
        path = self.folder_of(version)
        if version.state == "failed":
            raise VersionFailed(reference=version.reference, path=str(path))
        if not path.exists():
            raise MissingFile(path=str(path))
        return path

    def has_model(self, name: str) -> bool:
        database = self._existing()
        if database is None:
            return False
        with database.reading() as session:
            return rows.newest_version(session, name) is not None

    def folder_of(self, version: VersionView) -> Path:
        return self.models / version.path

    def validate(self, target: str | Path) -> ValidationReport:
        """Everything that is wrong at ``target``, a path or a reference; a version there gets its state.

        Raises:
            MissingFile: FILE-001. NothingToRegister: REG-003. UnknownReference: REG-001.
        """
        inspection = inspect_artefact(find_artefact(self._place(str(target))))
        version = self._follow(inspection)
        manifest, files = inspection.manifest, inspection.artefact.files()
        return ValidationReport(
            path=str(inspection.artefact.path),
            kind=inspection.artefact.kind,
            reference=version.reference if version else None,
            state=version.state if version else None,
            certified=inspection.is_certified,
            file_count=len(manifest.files) if manifest else len(files),
            size_bytes=inspection.size_bytes,
            checksum=manifest.sha256 if manifest else None,
            problems=inspection.problems,
        )

    def validate_version(self, reference: str, *, subject: Subject = LOCAL_ADMIN) -> ValidationReport:
        """As :meth:`validate`, of a registered version only: never of a path, and for who may write to its model.

        Raises:
            UnknownReference: REG-001. NotAllowed: REG-023.
        """
        version = self.version(reference, subject=subject)
        with self._opened().reading() as session:
            demand(session, subject, rows.model_row(session, version.name, version.owner), "write")
        return self.validate(self.folder_of(version))

    def rescan(self, *, subject: Subject = LOCAL_ADMIN, keep: bool = True) -> RescanReport:
        """All rows anew from the sidecars below ``5_models``; the same twice changes nothing.

        Args:
            keep: False only tells what would change.

        Raises:
            NotAllowed: REG-023, for anyone but an administrator.
        """
        demand_administrator(subject, "5_models")
        return rebuild(self._opened(), self.models, iso_time(self._clock()), keep=keep)

    def fingerprint(self) -> str:
        """``sha256:…`` of everything that the rows say; equal after a rescan of an unchanged tree.

        Versions count by their order: a rescan numbers them anew where some have left the trash for good.
        """
        database = self._existing()
        if database is None:
            return sha256_json([])
        with database.reading() as session:
            return sha256_json([{**view.to_json(), "seq": None} for view in rows.facts(session)])

    def newest_event(self) -> int:
        """The number of the last thing that happened; 0 where nothing has."""
        database = self._existing()
        if database is None:
            return 0
        with database.reading() as session:
            return rows.newest_event(session)

    def events_after(self, after: int, limit: int, *, subject: Subject = LOCAL_ADMIN) -> list[dict[str, Any]]:
        """What happened behind number ``after`` to that which ``subject`` may read, oldest first."""
        database = self._existing()
        if database is None:
            return []
        with database.reading() as session:
            return rows.events_after(session, after, limit, readable_history(subject), subject)

    @contextmanager
    def _looking(self, reference: str, wanted: Reference, subject: Subject) -> Iterator[Session]:
        database = self._existing()
        if database is None:
            raise UnknownReference(reference=reference, known=[])
        with database.reading() as session:
            demand_readable(session, subject, wanted.name, reference)
            yield session

    def _parsed(self, reference: str) -> Reference:
        parsed = parse_reference(reference)
        if parsed is None:
            raise UnknownReference(reference=reference, known=[])
        return parsed

    def _place(self, target: str) -> Path:
        """``target`` as a path when something is there, else as a reference, failed ones too."""
        path = Path(target).expanduser()
        if path.exists():
            return path
        if parse_reference(target) is None or self._existing() is None:
            raise MissingFile(path=target)
        return self.folder_of(self.version(target))

    def _follow(self, inspection: Inspection) -> VersionView | None:
        """The version whose folder was inspected, in the state that the inspection gives it."""
        relative = _relative(self.models, inspection.artefact)
        database = self._existing() if relative else None
        if database is None or relative is None:
            return None
        with database.reading() as session:
            version = rows.version_at(session, relative)
        state, certified = state_of(inspection), inspection.is_certified
        if version is None or (version.state, version.certified) == (state, certified):
            return version
        with database.writing() as session:
            version = rows.set_state(session, version, state, certified=certified)
            details = {"errors": [problem.to_json() for problem in inspection.errors]}
            happening = Happening(OF_STATE[state], version.name, version.label, details)
            rows.add_history(session, [happening], iso_time(self._clock()))
        return version


def registry_register(root: Path, spec: RegisterSpec) -> Registered:
    with Registry(root) as registry:
        return registry.register(
            spec.path,
            spec.name,
            spec.version,
            spec.base_model,
            spec.task,
            spec.tags,
            spec.description,
            spec.model_type,
            copy=spec.copy_files,
        )


def registry_show(root: Path, spec: ShowSpec) -> ModelDetail:
    with Registry(root) as registry:
        return registry.show(spec.name, limit=spec.limit)


def registry_validate(root: Path, spec: ValidateSpec) -> ValidationReport:
    with Registry(root) as registry:
        return registry.validate(spec.model_path)


def registry_rescan(root: Path, spec: RescanSpec, *, keep: bool = True) -> RescanReport:
    with Registry(root) as registry:
        return registry.rescan(keep=keep)


def find_reference(root: Path, value: str) -> Path | None:
    """The folder behind ``value`` when it names a registered version; ``None`` when it is something else.

    What exists as a path is a path. A plain name that is not registered may be a model's short name or a hub
    id, so it is ``None`` too; an unknown version of a registered model is an error.

    Raises:
        UnknownReference: REG-001. VersionFailed: REG-011. MissingFile: FILE-001.
    """
    parsed = parse_reference(value)
    if parsed is None or Path(value).expanduser().exists():
        return None
    with Registry(root) as registry:
        if not registry.has_model(parsed.name):
            return None
        return registry.resolve(value)


def _chosen(session: Session, wanted: Reference, newest: VersionView) -> VersionView:
    """The version that ``wanted`` names of the model whose newest one is given."""
    label = wanted.version
    if label is None and wanted.alias in (None, LATEST):
        return newest
    if label is None:
        label = rows.alias_label(session, wanted.name, str(wanted.alias))
    found = rows.version_named(session, wanted.name, label) if label else None
    if found is None:
        raise unknown_version(wanted, rows.versions_of(session, wanted.name, limit=5))
    return found


def _unknown(session: Session, reference: str, name: str, subject: Subject) -> UnknownReference:
    return UnknownReference(reference=reference, known=near_names(session, MODEL, name, subject))


def _relative(models: Path, artefact: Artefact) -> str | None:
    return None if artefact.is_single_file else path_within(models, artefact.path)
