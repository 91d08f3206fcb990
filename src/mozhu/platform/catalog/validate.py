"""Whether an artefact is whole: structure, headers, hashes, sidecars, certificate (seed 000's validator)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.errors import DamagedRecord, MozhuError
from mozhu.platform.catalog.artefacts import CERTIFICATE, MANIFEST, Artefact
from mozhu.platform.catalog.problems import Problem, fault, remark
from mozhu.platform.catalog.sidecars import INFO, README
from mozhu.platform.catalog.weights import structure_problems
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.certificate_rules import Objection, file_objections, is_bound, objections
from mozhu.specs.records.manifest import (
    NOT_LISTED,
    FileProblem,
    Manifest,
    ManifestFile,
    manifest_problems,
)
from mozhu.specs.records.sidecars import ABOUT, SIDECARS, ModelInfo

_WEIGHTS = (".safetensors", ".gguf")


@dataclass(frozen=True)
class Inspection:
    """``manifest`` and ``certificate`` are ``None`` where there is none or it cannot be read."""

    artefact: Artefact
    problems: tuple[Problem, ...]
    manifest: Manifest | None
    certificate: Certificate | None

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.level == "error")

    @property
    def failed_checks(self) -> list[str]:
        """The checks of the certificate that do not pass; empty with a passing one or none."""
        checks = self.certificate.checks if self.certificate and not self.certificate.passed else []
        return [check.name for check in checks if not check.ok]

    @property
    def is_certified(self) -> bool:
        """Whether a passing certificate of these very files stands beside them, and they are whole."""
        certificate = self.certificate
        return certificate is not None and is_bound(certificate) and certificate.passed and not self.errors

    @property
    def size_bytes(self) -> int:
        """What the manifest lists; without one what lies there."""
        if self.manifest is not None:
            return self.manifest.size_bytes
        return sum(path.stat().st_size for path in self.artefact.files() if path.exists())


def inspect_artefact(artefact: Artefact, *, hashes: bool = True) -> Inspection:
    """Every problem of ``artefact`` in one pass; ``hashes=False`` compares sizes only, for a quick look."""
    problems = structure_problems(artefact)
    manifest, found = _manifest(artefact, hashes=hashes)
    problems += found
    certificate, found = _certificate(artefact, manifest)
    problems += found
    if certificate is not None:
        problems += _about_files(artefact, certificate, manifest, hashes=hashes)
    problems += _sidecars(artefact, manifest)
    return Inspection(artefact, _without_doubles(problems), manifest, certificate)


def make_artefact_manifest(artefact: Artefact, known: Manifest | None) -> Manifest:
    """The manifest of what the artefact itself is: without the files that are written about it.

    A ``known`` one, already held against the files, is kept when it lists no file that registration changes.
    """
    if known is not None:
        changing = ABOUT - {README}
        if not any(file.path in changing for file in known.files):
            return known
        files = [file for file in known.files if file.path not in ABOUT]
    else:
        root = artefact.path.parent if artefact.is_single_file else artefact.path
        files = [ManifestFile.of(root, path) for path in _own_files(artefact, root)]
    return Manifest.of(files)


def _manifest(artefact: Artefact, *, hashes: bool) -> tuple[Manifest | None, list[Problem]]:
    path = artefact.beside(MANIFEST)
    if path is None:
        return None, [remark(MANIFEST, "no_manifest")]
    try:
        manifest = Manifest.read(path)
    except MozhuError as error:
        return None, [_unreadable(MANIFEST, error)]
    problems: list[Problem] = []
    if manifest.sha256 != Manifest.of(manifest.files).sha256:
        problems.append(fault(MANIFEST, "manifest_sha256"))
    own = _own_files(artefact, artefact.path)
    found = manifest_problems(artefact.path, manifest, belonging=own, hashes=hashes)
    return manifest, problems + [_file_problem(item) for item in found if item.path not in ABOUT]


def _file_problem(found: FileProblem) -> Problem:
    if found.code == "extra":
        return remark(found.path, found.code)
    if found.code != "sha256":
        return fault(found.path, found.code, **found.params)
    return fault(found.path, found.code, **{name: value[:19] for name, value in found.params.items()})


def _certificate(artefact: Artefact, manifest: Manifest | None) -> tuple[Certificate | None, list[Problem]]:
    path = artefact.beside(CERTIFICATE)
    if path is None:
        return None, [remark(CERTIFICATE, "no_certificate")]
    try:
        certificate = Certificate.read(path)
    except MozhuError as error:
        return None, [_unreadable(CERTIFICATE, error)]
    problems = [_objection(found) for found in objections(certificate)]
    about = (certificate.model_extra or {}).get("manifest")
    if isinstance(about, str) and manifest is not None and about != manifest.sha256:
        problems.append(fault(CERTIFICATE, "other_manifest"))
    return certificate, problems


def _objection(found: Objection) -> Problem:
    return fault(CERTIFICATE, found.code, **found.params)


def _about_files(
    artefact: Artefact, certificate: Certificate, manifest: Manifest | None, *, hashes: bool
) -> list[Problem]:
    """Whether the certificate is about the files that lie here; one of an older version does not say."""
    if not is_bound(certificate):
        return [remark(CERTIFICATE, "certificate_unbound")]
    if manifest is None and not hashes:
        return []
    root = artefact.path.parent if artefact.is_single_file else artefact.path
    files = manifest.files if manifest is not None else _hashed(artefact, root)
    weights = [file.path for file in files if file.path.endswith(_WEIGHTS)]
    return [_objection(found) for found in file_objections(certificate, files, weights=weights)]


def _hashed(artefact: Artefact, root: Path) -> list[ManifestFile]:
    return [ManifestFile.of(root, path) for path in _own_files(artefact, root) if path.is_file()]


def _sidecars(artefact: Artefact, manifest: Manifest | None) -> list[Problem]:
    if artefact.is_single_file:
        return []
    problems = [remark(name, "no_sidecar") for name in SIDECARS if artefact.beside(name) is None]
    path = artefact.beside(INFO)
    if path is None:
        return problems
    try:
        info = ModelInfo.read(path)
    except MozhuError as error:
        return [*problems, _unreadable(INFO, error)]
    listed = {file.path for file in manifest.files} if manifest else set()
    if manifest is not None and INFO not in listed and info.checksum != manifest.sha256:
        problems.append(fault(INFO, "checksum", expected=manifest.sha256[:19], found=info.checksum[:19]))
    return problems


def _unreadable(name: str, error: MozhuError) -> Problem:
    if isinstance(error, DamagedRecord):
        return fault(name, "record", fields=", ".join(error.params["fields"]))  # type: ignore[arg-type]
    return fault(name, "unreadable", reason=error.what)


def _own_files(artefact: Artefact, root: Path) -> list[Path]:
    """The files of the artefact without those that are written about it."""
    about = ABOUT | NOT_LISTED
    return [path for path in artefact.files() if path.relative_to(root).as_posix() not in about]


def _without_doubles(problems: list[Problem]) -> tuple[Problem, ...]:
    """One line per file, reason and place in it; a file that is missing or not JSON is told once."""
    first: dict[tuple[object, ...], Problem] = {}
    silent = {problem.file for problem in problems if problem.code in ("json", "missing")}
    for problem in problems:
        if problem.code in ("unreadable", "no_index") and problem.file in silent:
            continue
        place = tuple(problem.params.get(name) for name in ("check", "tensor", "path"))
        first.setdefault((problem.file, problem.code, *place), problem)
    return tuple(sorted(first.values(), key=lambda problem: problem.level))
