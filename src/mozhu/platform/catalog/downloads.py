"""The files of a version, as they are sent: from the store, which keeps what was registered, else from its folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.errors import MissingFile, VersionFailed
from mozhu.kernel.files import reading
from mozhu.platform.catalog.service import Registry
from mozhu.platform.catalog.views import VersionView
from mozhu.platform.storage.archive import Archive
from mozhu.platform.storage.blobs import CHUNK_BYTES, BlobStore, bounds
from mozhu.platform.storage.zipped import ZipEntry, zip_size
from mozhu.specs.records.manifest import ManifestFile


@dataclass(frozen=True)
class Sendable:
    """A file of a version. ``folder`` is the version's own, for what came before there was a store."""

    file: ManifestFile
    folder: Path
    store: BlobStore

    def open(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Its bytes from ``start`` up to ``end``.

        Raises:
            BadRange: STORE-006. BlobMissing: STORE-001, it is in neither of the two.
        """
        there = self.store.stat(self.file.sha256)
        path = self.folder / self.file.path
        if (there is None or there.size != self.file.size) and path.is_file():
            first, last = bounds(self.file.size, start, end)
            return _pieces(path, first, last)
        return self.store.open(self.file.sha256, start, end)


def files_of(registry: Registry, version: VersionView) -> list[Sendable]:
    """Every file of a version, by its path.

    Raises:
        VersionFailed: REG-011, found damaged. MissingFile: FILE-001.
    """
    if version.state == "failed":
        raise VersionFailed(reference=version.reference, path=version.path)
    folder = registry.folder_of(version)
    return [Sendable(file, folder, registry.store) for file in registry.files(version)]


def file_of(registry: Registry, version: VersionView, path: str) -> Sendable:
    """The file of a version whose manifest calls it ``path``: no other file can be named.

    Raises:
        MissingFile: FILE-001, and what :func:`files_of` raises.
    """
    found = [each for each in files_of(registry, version) if each.file.path == path]
    if not found:
        raise MissingFile(path=f"{version.reference}/{path}")
    return found[0]


def archive_of(registry: Registry, version: VersionView) -> Archive:
    """A version as ``{model-name}/{version}.zip``.

    Raises:
        As :func:`files_of`.
    """
    entries = tuple(
        ZipEntry(each.file.path, each.file.size, each.open) for each in files_of(registry, version)
    )
    return Archive(f"{version.name}/{version.label}.zip", zip_size(entries), entries)


def _pieces(path: Path, start: int, end: int) -> Iterator[bytes]:
    with reading(path), open(path, "rb") as file:
        file.seek(start)
        left = end - start
        while left > 0:
            piece = file.read(min(CHUNK_BYTES, left))
            if not piece:
                raise MissingFile(path=str(path))
            left -= len(piece)
            yield piece
