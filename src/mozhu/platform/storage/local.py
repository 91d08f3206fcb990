"""A store in a folder: files by hash, written apart, synced and renamed; hard links into version folders."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from mozhu.kernel.errors import BlobMissing
from mozhu.kernel.files import make_folder, reading, sync_folder, writing
from mozhu.platform.storage.blobs import CHUNK_BYTES, Blob, bounds, checked, digest_at, key_of

FILE_MODE = 0o640
# Files in the making are in a folder of their own on the same file system.
MAKING, QUARANTINE = "making", "quarantine"
_ABANDONED_S = 24 * 3600


class LocalBlobs:
    """The blobs below ``root``, which is made when the first one comes."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()

    @property
    def name(self) -> str:
        return str(self.root)

    def put(self, digest: str, source: Iterable[bytes], size: int) -> Blob:
        with self._making() as temporary:
            with writing(temporary), open(temporary, "wb") as file:
                for piece in checked(source, digest, size, str(self.path_of(digest))):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), FILE_MODE)
            return self._move_in(temporary, digest)

    def take(self, digest: str, path: Path) -> Blob:
        """The file ``path``, whose hash has been checked and which is on disk, is the blob; it is moved, not copied."""
        with writing(path):
            os.chmod(path, FILE_MODE)
        return self._move_in(path, digest)

    def adopt(self, digest: str, path: Path) -> Blob:
        """The file ``path`` is a blob too, as a hard link where the file system allows it; its hash is checked
        where it is copied.
        """
        size = path.stat().st_size
        there = self.stat(digest)
        if there is not None and there.size == size:
            return there
        with self._making() as temporary:
            try:
                os.link(os.path.realpath(path), temporary)
            except OSError:
                return self.put(digest, read_file(path), size)
            return self._move_in(temporary, digest)

    def open(self, digest: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        path = self.path_of(digest)
        try:
            size = path.stat().st_size
        except FileNotFoundError:
            raise BlobMissing(store=self.name, digest=digest) from None
        first, last = bounds(size, start, end)
        return read_file(path, first, last)

    def stat(self, digest: str) -> Blob | None:
        try:
            return _blob(digest, self.path_of(digest))
        except FileNotFoundError:
            return None

    def delete(self, digest: str) -> bool:
        path = self.path_of(digest)
        with writing(path):
            try:
                path.unlink()
            except FileNotFoundError:
                return False
            sync_folder(path.parent)
        return True

    def list(self) -> Iterator[Blob]:
        room = self.root / "sha256"
        for folder in sorted(room.iterdir()) if room.is_dir() else ():
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                digest = digest_at(path.relative_to(self.root).as_posix())
                blob = self.stat(digest) if digest else None
                if blob is not None:
                    yield blob

    def address(self, digest: str, seconds: int) -> str | None:
        return None

    def path_of(self, digest: str) -> Path:
        return self.root / key_of(digest)

    def strangers(self) -> tuple[str, ...]:
        """Files in the store's folders whose names are no hashes, relative to it."""
        room = self.root / "sha256"
        found = (path.relative_to(self.root).as_posix() for path in room.rglob("*") if path.is_file())
        return tuple(sorted(name for name in found if digest_at(name) is None))

    def set_aside(self, digest: str) -> str:
        source = self.path_of(digest)
        target = self.root / QUARANTINE / f"{source.name}-{int(time.time())}"
        make_folder(target.parent)
        with writing(target):
            os.replace(source, target)
            sync_folder(target.parent)
        return str(target)

    def sweep(self) -> int:
        """What killed writers left is gone, a day after; returns the bytes that came back."""
        freed, room = 0, self.root / MAKING
        for path in room.iterdir() if room.is_dir() else ():
            with suppress(OSError):
                found = path.stat()
                if time.time() - max(found.st_mtime, found.st_ctime) > _ABANDONED_S:
                    path.unlink()
                    freed += found.st_size
        return freed

    @contextmanager
    def _making(self) -> Iterator[Path]:
        """A place for a file in the making; what is left of it when the block ends is removed."""
        make_folder(self.root / MAKING)
        temporary = self.root / MAKING / secrets.token_hex(12)
        try:
            yield temporary
        finally:
            with suppress(OSError):
                temporary.unlink()

    def _move_in(self, temporary: Path, digest: str) -> Blob:
        target = self.path_of(digest)
        fresh = not target.parent.is_dir()
        make_folder(target.parent)
        with writing(target):
            found = _blob(digest, temporary)
            _replace(temporary, target)
            sync_folder(target.parent)
            if fresh:
                sync_folder(target.parent.parent)
                sync_folder(self.root)
        return replace(found, modified=time.time())


def read_file(path: Path, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """The bytes of a file from ``start`` up to ``end``, in pieces."""
    with reading(path), open(path, "rb") as file:
        file.seek(start)
        left = None if end is None else end - start
        while left is None or left > 0:
            piece = file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not piece:
                return
            left = None if left is None else left - len(piece)
            yield piece


def _blob(digest: str, path: Path) -> Blob:
    found = path.stat()
    # The time of the last link: a grace period counts from when it came, whatever the age of a file that was linked.
    return Blob(digest, found.st_size, found.st_ctime, found.st_nlink)


def _replace(temporary: Path, target: Path) -> None:
    """Like ``os.replace``, which does nothing where both are links to one file."""
    os.replace(temporary, target)
    with suppress(FileNotFoundError):
        temporary.unlink()
