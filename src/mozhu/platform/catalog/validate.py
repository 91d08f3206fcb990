"""Whether an artefact is whole: structure, headers, hashes, sidecars, certificate (seed 000's validator)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.errors import DamagedRecord, MozhuError
from mozhu.kernel.files import sha256_file, sha256_json
from mozhu.platform.catalog.artefacts import CERTIFICATE, MANIFEST, Artefact
from mozhu.platform.catalog.problems import Problem, fault, remark
from mozhu.platform.catalog.sidecars import ABOUT, INFO, README
from mozhu.platform.catalog.weights import structure_problems
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.manifest import NOT_LISTED, Manifest, ManifestFile
from mozhu.specs.records.sidecars import SIDECARS, ModelInfo


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
        """Whether a passing certificate stands beside whole files."""
        return self.certificate is not None and self.certificate.passed and not self.errors


def inspect_artefact(artefact: Artefact, *, hashes: bool = True) -> Inspection:
    """Every problem of ``artefact`` in one pass; ``hashes=False`` compares sizes only, for a quick look."""
    problems = structure_problems(artefact)
    manifest, found = _manifest(artefact, hashes=hashes)
    problems += found
    certificate, found = _certificate(artefact, manifest)
    problems += found
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
        listed = [path for path in artefact.files() if not _is_about(path.relative_to(root).as_posix())]
        files = [
            ManifestFile(
                path=path.relative_to(root).as_posix(), size=path.stat().st_size, sha256=sha256_file(path)
            )
            for path in listed
        ]
    return Manifest(files=files, sha256=sha256_json([file.model_dump() for file in files]))


def _manifest(artefact: Artefact, *, hashes: bool) -> tuple[Manifest | None, list[Problem]]:
    path = artefact.beside(MANIFEST)
    if path is None:
        return None, [remark(MANIFEST, "no_manifest")]
    try:
        manifest = Manifest.read(path)
    except MozhuError as error:
        return None, [_unreadable(MANIFEST, error)]
    problems: list[Problem] = []
    if manifest.sha256 != sha256_json([file.model_dump() for file in manifest.files]):
        problems.append(fault(MANIFEST, "manifest_sha256"))
    for file in manifest.files:
        problems += _file_problems(artefact.path, file, hashes=hashes)
    listed = {file.path for file in manifest.files}
    for item in artefact.files():
        name = item.relative_to(artefact.path).as_posix()
        if name not in listed and not _is_about(name):
            problems.append(remark(name, "extra"))
    return manifest, problems


def _file_problems(folder: Path, file: ManifestFile, *, hashes: bool) -> list[Problem]:
    path = folder / file.path
    if Path(file.path).is_absolute() or ".." in Path(file.path).parts:
        return [fault(file.path, "outside")]
    if file.path in ABOUT:
        return []
    if not path.is_file():
        return [fault(file.path, "missing")]
    size = path.stat().st_size
    if size != file.size:
        return [fault(file.path, "size", expected=file.size, found=size)]
    if not hashes:
        return []
    found = sha256_file(path)
    return (
        []
        if found == file.sha256
        else [fault(file.path, "sha256", expected=file.sha256[:19], found=found[:19])]
    )


def _certificate(artefact: Artefact, manifest: Manifest | None) -> tuple[Certificate | None, list[Problem]]:
    path = artefact.beside(CERTIFICATE)
    if path is None:
        return None, [remark(CERTIFICATE, "no_certificate")]
    try:
        certificate = Certificate.read(path)
    except MozhuError as error:
        return None, [_unreadable(CERTIFICATE, error)]
    problems = [
        fault(CERTIFICATE, "check_failed", check=check.name, value=check.value, limit=check.limit)
        for check in certificate.checks
        if not check.ok
    ]
    if not certificate.checks:
        problems.append(fault(CERTIFICATE, "no_checks"))
    about = (certificate.model_extra or {}).get("manifest")
    if isinstance(about, str) and manifest is not None and about != manifest.sha256:
        problems.append(fault(CERTIFICATE, "other_manifest"))
    return certificate, problems


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


def _is_about(name: str) -> bool:
    return name in ABOUT or name in NOT_LISTED


def _without_doubles(problems: list[Problem]) -> tuple[Problem, ...]:
    """One line per file and reason; a file that is missing or not JSON is told once."""
    first: dict[tuple[str, str], Problem] = {}
    silent = {problem.file for problem in problems if problem.code in ("json", "missing")}
    for problem in problems:
        if problem.code in ("unreadable", "no_index") and problem.file in silent:
            continue
        first.setdefault((problem.file, problem.code + str(problem.params.get("check", ""))), problem)
    return tuple(sorted(first.values(), key=lambda problem: problem.level))
