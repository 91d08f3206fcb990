"""The files of a version, as they are sent: from its folder where they lie, else from the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mozhu.kernel.errors import MissingFile, VersionFailed
from mozhu.kernel.files import reading
from mozhu.platform.catalog.artefacts import MANIFEST
from mozhu.platform.catalog.service import Registry
from mozhu.platform.storage.archive import Archive
from mozhu.platform.storage.blobs import CHUNK_BYTES, BlobStore, bounds
from mozhu.platform.storage.zipped import ZipEntry, zip_size
from mozhu.specs.records.manifest import Manifest, ManifestFile


@dataclass(frozen=True)
class Sendable:
    """A file of a version. ``folder`` is the version's own; what is not there is in ``store``."""

    file: ManifestFile
    folder: Path
    store: BlobStore | None

    def open(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Its bytes from ``start`` up to ``end``.

        Raises:
            BadRange: STORE-006. MissingFile: FILE-001. BlobMissing: STORE-001.
        """
        path = self.folder / self.file.path
        if path.is_file() or self.store is None:
            first, last = bounds(self.file.size, start, end)
            return _pieces(path, first, last)
        return self.store.open(self.file.sha256, start, end)


def files_of(registry: Registry, reference: str, store: BlobStore | None = None) -> list[Sendable]:
    """Every file of a version, by its path.

    Raises:
        UnknownReference: REG-001. VersionFailed: REG-011, found damaged. MissingFile: FILE-001.
    """
    version = registry.show(reference).chosen
    folder = registry.folder_of(version)
    if version.state == "failed":
        raise VersionFailed(reference=version.reference, path=version.path)
    manifest = Manifest.read(folder / MANIFEST)
    return [Sendable(file, folder, store) for file in sorted(manifest.files, key=lambda file: file.path)]


def file_of(registry: Registry, reference: str, path: str, store: BlobStore | None = None) -> Sendable:
    """The file of a version whose manifest calls it ``path``: no other file can be named.

    Raises:
        MissingFile: FILE-001, and what :func:`files_of` raises.
    """
    found = [each for each in files_of(registry, reference, store) if each.file.path == path]
    if not found:
        raise MissingFile(path=f"{reference}/{path}")
    return found[0]


def archive_of(registry: Registry, reference: str, store: BlobStore | None = None) -> Archive:
    """A version as ``{model-name}/{version}.zip``.

    Raises:
        As :func:`files_of`.
    """
    version = registry.show(reference).chosen
    entries = tuple(
        ZipEntry(each.file.path, each.file.size, partial(each.open))
        for each in files_of(registry, version.reference, store)
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
