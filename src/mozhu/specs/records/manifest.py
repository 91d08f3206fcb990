"""``manifest.json`` beside an artefact: its files, their sizes and hashes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from mozhu.kernel.files import sha256_file, sha256_json
from mozhu.specs.records.base import SHA256, Record
from mozhu.specs.records.sidecars import ABOUT

# Written about an artefact after its files: they are not part of what is hashed.
NOT_LISTED = frozenset({"manifest.json", "certificate.json"})


class ManifestFile(BaseModel):
    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=SHA256)

    @classmethod
    def of(cls, folder: Path, path: Path, *, sha256: str | None = None) -> ManifestFile:
        """The file at ``path``, which lies below ``folder``, as it is now; ``sha256`` where its writer knows it."""
        name = path.relative_to(folder).as_posix()
        return cls(path=name, size=path.stat().st_size, sha256=sha256 or sha256_file(path))


class Manifest(Record):
    """``sha256`` is that of the canonical list of files, so two artefacts with equal bytes have equal manifests."""

    files: list[ManifestFile]
    sha256: str = Field(pattern=SHA256)

    @classmethod
    def of(cls, files: list[ManifestFile]) -> Manifest:
        return cls(files=files, sha256=sha256_json([file.model_dump() for file in files]))

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files)


class FileProblem(NamedTuple):
    """``code``: ``outside``, ``missing``, ``size``, ``sha256`` (both with what was expected and found), ``extra``."""

    path: str
    code: str
    params: dict[str, Any]


def make_manifest(folder: Path, *, known: Mapping[str, str] | None = None) -> Manifest:
    """The manifest of every file under ``folder`` (links are followed), sorted by path.

    Args:
        known: Hashes of files that their writer took while it wrote them, by their path in ``folder``.
    """
    known = known or {}
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in NOT_LISTED]
    files = ((path, known.get(path.relative_to(folder).as_posix())) for path in paths)
    return Manifest.of([ManifestFile.of(folder, path, sha256=sha256) for path, sha256 in files])


def manifest_problems(
    folder: Path, manifest: Manifest, *, belonging: Iterable[Path] | None = None, hashes: bool = True
) -> list[FileProblem]:
    """Each file that differs from the manifest, and each that is not in it.

    Args:
        belonging: The files below ``folder`` that the manifest should list. Left out: every file but the
            records about the artefact, which are the manifest, the certificate and what the registry writes.
        hashes: ``False`` compares sizes only, for a quick look.
    """
    found = (_file_problem(folder, file, hashes=hashes) for file in manifest.files)
    problems = [problem for problem in found if problem is not None]
    listed = {file.path for file in manifest.files}
    for path in _belonging(folder) if belonging is None else belonging:
        name = path.relative_to(folder).as_posix()
        if name not in listed:
            problems.append(FileProblem(name, "extra", {}))
    return problems


def _file_problem(folder: Path, file: ManifestFile, *, hashes: bool) -> FileProblem | None:
    path = folder / file.path
    if Path(file.path).is_absolute() or ".." in Path(file.path).parts:
        return FileProblem(file.path, "outside", {})
    if not path.is_file():
        return FileProblem(file.path, "missing", {})
    size = path.stat().st_size
    if size != file.size:
        return FileProblem(file.path, "size", {"expected": file.size, "found": size})
    sha256 = sha256_file(path) if hashes else file.sha256
    if sha256 != file.sha256:
        return FileProblem(file.path, "sha256", {"expected": file.sha256, "found": sha256})
    return None


def _belonging(folder: Path) -> list[Path]:
    about = {folder / name for name in ABOUT}
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in NOT_LISTED and path not in about
    ]
