"""A store in memory, for tests and experiments: the same promises as a real one, gone with the process."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from mozhu.kernel.errors import BlobMissing
from mozhu.platform.storage.blobs import CHUNK_BYTES, Blob, bounds, checked


class MemoryBlobs:
    name = "memory"

    def __init__(self) -> None:
        self.contents: dict[str, tuple[bytes, float]] = {}
        self.quarantine: dict[str, tuple[bytes, float]] = {}

    def put(self, digest: str, source: Iterable[bytes], size: int) -> Blob:
        content = b"".join(checked(source, digest, size, digest))
        self.contents[digest] = (content, time.time())
        return Blob(digest, size, time.time())

    def open(self, digest: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        if digest not in self.contents:
            raise BlobMissing(store=self.name, digest=digest)
        content = self.contents[digest][0]
        first, last = bounds(len(content), start, end)
        return (content[at : min(at + CHUNK_BYTES, last)] for at in range(first, last, CHUNK_BYTES))

    def stat(self, digest: str) -> Blob | None:
        content = self.contents.get(digest)
        return None if content is None else Blob(digest, len(content[0]), content[1])

    def delete(self, digest: str) -> bool:
        return self.contents.pop(digest, None) is not None

    def list(self) -> Iterator[Blob]:
        for digest, (content, came) in sorted(self.contents.items()):
            yield Blob(digest, len(content), came)

    def set_aside(self, digest: str) -> str:
        self.quarantine[digest] = self.contents.pop(digest)
        return f"quarantine/{digest}"

    def address(self, digest: str, seconds: int) -> str | None:
        return None
