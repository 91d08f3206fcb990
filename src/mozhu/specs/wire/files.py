"""Files of a version on the wire."""

from __future__ import annotations

from typing_extensions import TypedDict

# A file's own hash, beside its bytes.
SHA256_HEADER = "X-Content-Sha256"


class FileWire(TypedDict):
    path: str
    size: int
    sha256: str


class FilesList(TypedDict):
    """The manifest of the version `reference`; `archive` is the place that seed 001 gives its zip."""

    reference: str
    archive: str
    size_bytes: int
    items: list[FileWire]
