"""``manifest.json`` beside an artefact: its files, their sizes and hashes."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field

from mozhu.kernel.files import sha256_file, sha256_json
from mozhu.specs.records.base import SHA256, Record

# Written about an artefact after its files: they are not part of what is hashed.
NOT_LISTED = frozenset({"manifest.json", "certificate.json"})


class ManifestFile(BaseModel):
    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=SHA256)


class Manifest(Record):
    """``sha256`` is that of the canonical list of files, so two artefacts with equal bytes have equal manifests."""

    files: list[ManifestFile]
    sha256: str = Field(pattern=SHA256)


def make_manifest(folder: Path) -> Manifest:
    """The manifest of every file under ``folder`` (links are followed), sorted by path."""
    files = [
        ManifestFile(
            path=path.relative_to(folder).as_posix(), size=path.stat().st_size, sha256=sha256_file(path)
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in NOT_LISTED
    ]
    return Manifest(files=files, sha256=sha256_json([file.model_dump() for file in files]))


def manifest_problems(folder: Path, manifest: Manifest) -> list[tuple[str, str]]:
    """Each file that differs from the manifest, as (path, ``missing`` | ``size`` | ``sha256`` | ``extra``)."""
    problems = []
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            problems.append((file.path, "missing"))
        elif path.stat().st_size != file.size:
            problems.append((file.path, "size"))
        elif sha256_file(path) != file.sha256:
            problems.append((file.path, "sha256"))
    listed = {file.path for file in manifest.files}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and path.name not in NOT_LISTED and name not in listed:
            problems.append((name, "extra"))
    return problems
