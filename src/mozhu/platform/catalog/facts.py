"""What a row says of a version, read from its folder: the one way from files to rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.paths import check_name
from mozhu.platform.catalog.artefacts import find_artefact
from mozhu.platform.catalog.places import path_within
from mozhu.platform.catalog.sidecars import INFO, Registration
from mozhu.platform.catalog.validate import Inspection, inspect_artefact
from mozhu.platform.catalog.views import State, VersionFacts
from mozhu.platform.database.tables import LOCAL
from mozhu.specs.records.manifest import ManifestFile
from mozhu.specs.records.sidecars import REGISTRATION, ModelInfo


@dataclass(frozen=True)
class FolderFacts:
    """``inspection`` is what the row's state rests on."""

    facts: VersionFacts
    inspection: Inspection

    @property
    def files(self) -> tuple[ManifestFile, ...]:
        """Its files as its manifest lists them; none without one."""
        return tuple(self.inspection.manifest.files) if self.inspection.manifest else ()


def state_of(inspection: Inspection) -> State:
    """``failed`` when damaged, ``ready`` only with a passing certificate, else ``checking``."""
    if inspection.errors:
        return "failed"
    return "ready" if inspection.is_certified else "checking"


def read_folder(models: Path, folder: Path, *, hashes: bool) -> FolderFacts:
    """The facts of the version in ``folder``.

    Raises:
        MissingFile, BadJson, DamagedRecord: FILE-001, FILE-004, FILE-006: its sidecars. BadName: FILE-008.
        NothingToRegister: REG-003: no artefact beside them.
    """
    info = ModelInfo.read(folder / INFO)
    check_name(info.model_name)
    check_name(info.version)
    artefact = find_artefact(folder)
    inspection = inspect_artefact(artefact, hashes=hashes)
    registration = _registration(folder, info)
    facts = VersionFacts(
        name=info.model_name,
        label=info.version,
        state=state_of(inspection),
        kind=artefact.kind,
        model_type=info.model_type,
        base_model=info.base_model,
        task=info.task,
        description=info.description,
        training_dataset=info.training_dataset,
        training_steps=info.training_steps,
        performance=dict(info.performance),
        tags=tuple(dict.fromkeys(info.tags)),
        path=path_within(models, folder) or str(folder),
        size_bytes=inspection.size_bytes,
        checksum=info.checksum,
        certified=inspection.is_certified,
        created=info.created_time,
        registered=registration.registered,
        owner=registration.owner,
        team=registration.team,
    )
    return FolderFacts(facts, inspection)


def _registration(folder: Path, info: ModelInfo) -> Registration:
    """The record, or for a folder that somebody laid down by hand what its ``model_info.json`` tells."""
    if (folder / REGISTRATION).is_file():
        return Registration.read(folder / REGISTRATION)
    return Registration(registered=info.created_time.replace("Z", ".000Z"), owner=LOCAL, team=LOCAL)
