"""Parts as parts of an S3 multipart upload: they outlive any process of ours, and no disk here holds them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import Any

from mozhu.kernel.errors import BlobMissing
from mozhu.kernel.files import writing
from mozhu.platform.storage.s3 import S3Blobs
from mozhu.platform.uploads.parts import PartWriter, Progress, checked_digest, watched
from mozhu.platform.uploads.views import UploadFile

_IN_MEMORY_BYTES = 8 << 20
_ABANDONED_S = 3600
_EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class S3Parts:
    """Each file one multipart upload to ``uploads/<upload>/<file>``; ``place`` holds their ids."""

    def __init__(self, store: S3Blobs) -> None:
        self._store = store

    def free_bytes(self) -> int | None:
        return None

    def needed_bytes(self, sizes: Sequence[int]) -> int:
        return 0

    def begin(self, upload: str, files: Sequence[UploadFile]) -> dict[str, Any]:
        wanted = [index for index, file in enumerate(files) if file.need == "wanted" and file.size]
        return {"ids": {str(index): self._store.begin(_key(upload, index)) for index in wanted}}

    def writer(self, upload: str, place: dict[str, Any], file: int, number: int, size: int) -> PartWriter:
        return _S3Writer(self._store, _key(upload, file), place["ids"][str(file)], number)

    def forget(self, upload: str, mark: str) -> None:
        """A part that is sent again takes the old one's place by itself."""

    def finish(
        self,
        upload: str,
        place: dict[str, Any],
        file: int,
        stated: UploadFile,
        marks: Sequence[str],
        seen: Progress,
    ) -> str:
        if not stated.size:
            self._store.put(_EMPTY, iter(()), 0)
            return checked_digest(stated, iter(()))
        key = _key(upload, file)
        self._store.finish(key, place["ids"][str(file)], list(marks))
        digest = checked_digest(stated, watched(self._store.read_key(key), seen))
        there = self._store.stat(digest)
        if there is None or there.size != stated.size:
            self._store.take(key, digest, stated.size)
            there = self._store.stat(digest)
        if there is None or there.size != stated.size:
            raise BlobMissing(store=self._store.name, digest=digest)
        return digest

    def drop(self, upload: str, place: dict[str, Any]) -> None:
        for file, upload_id in place.get("ids", {}).items():
            self._store.give_up(_key(upload, int(file)), upload_id)

    def sweep(self, living: set[str]) -> int:
        """Multipart uploads of ours that no upload knows are given up; a bucket does not say how large they are."""
        for key, upload_id, age_s in self._store.unfinished("uploads/"):
            if key.split("/")[1] not in living and age_s > _ABANDONED_S:
                self._store.give_up(key, upload_id)
        return 0


class _S3Writer:
    def __init__(self, store: S3Blobs, key: str, upload_id: str, number: int) -> None:
        self._store, self._key, self._id, self._number = store, key, upload_id, number
        self._spool = SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 (closed below)

    def write(self, piece: bytes) -> None:
        with writing("part"):
            self._spool.write(piece)

    def close(self) -> str:
        self._spool.seek(0)
        try:
            return self._store.send_part(self._key, self._id, self._number, self._spool)
        finally:
            self._spool.close()

    def cancel(self) -> None:
        with suppress(OSError):
            self._spool.close()


def _key(upload: str, file: int) -> str:
    return f"uploads/{upload}/{file}"
