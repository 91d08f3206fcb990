"""A version as one download: seed 001's ``s3://models/{model-name}/{version}.zip``, made while it is sent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from mozhu.platform.storage.blobs import BlobStore, bounds
from mozhu.platform.storage.zipped import ZipEntry, zip_size, zip_stream
from mozhu.specs.records.manifest import ManifestFile


@dataclass(frozen=True)
class Archive:
    """``name`` is the place that seed 001 gives it, ``size`` its length in bytes; equal manifests give equal bytes."""

    name: str
    size: int
    entries: tuple[ZipEntry, ...]

    def open(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` up to ``end``: a download that broke off goes on where it stopped.

        Raises:
            BadRange: STORE-006.
        """
        first, last = bounds(self.size, start, end)
        return _between(zip_stream(self.entries), first, last)


def archive_of(store: BlobStore, model: str, version: str, files: Sequence[ManifestFile]) -> Archive:
    """The files of a version, in the order of their paths, under ``{model-name}/{version}.zip``."""
    entries = tuple(
        ZipEntry(file.path, file.size, partial(store.open, file.sha256))
        for file in sorted(files, key=lambda file: file.path)
    )
    return Archive(name=f"{model}/{version}.zip", size=zip_size(entries), entries=entries)


def _between(pieces: Iterator[bytes], start: int, end: int) -> Iterator[bytes]:
    at = 0
    for piece in pieces:
        first, last = max(0, start - at), min(len(piece), end - at)
        at += len(piece)
        if first < last:
            yield piece[first:last]
        if at >= end:
            return
