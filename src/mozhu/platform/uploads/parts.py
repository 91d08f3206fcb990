"""Where parts lie until their file is whole: a port, and the one in a folder."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import Any, BinaryIO, Protocol

from mozhu.kernel.errors import ContentDiffers, MozhuError, NotWritable
from mozhu.kernel.files import folder_bytes, free_bytes, make_folder, reading, sync_folder, writing
from mozhu.platform.storage.blobs import BlobStore, digest_of
from mozhu.platform.storage.local import LocalBlobs, read_file
from mozhu.platform.uploads.views import UploadFile

Progress = Callable[[int], None]
_COPY_BYTES, _READ_BYTES = 8 << 20, 256 << 10
# An upload's folder is there a moment before its row is.
_ABANDONED_S = 3600
_ALL_COPIED = -1
_NOT_IN_KERNEL = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM}


class PartWriter(Protocol):
    """A part on its way in: nothing of it counts before ``close`` has returned."""

    def write(self, piece: bytes) -> None: ...

    def close(self) -> str:
        """The part is durable; the mark by which it is found again."""

    def cancel(self) -> None:
        """Nothing is left of it, unless it was closed."""


class PartRoom(Protocol):
    """Parts of uploads; ``place`` is what ``begin`` gave and a row keeps."""

    def free_bytes(self) -> int | None:
        """What there is room for; ``None`` where that is no question."""

    def needed_bytes(self, sizes: Sequence[int]) -> int:
        """What files of these sizes take at most while they are sent and put together."""

    def begin(self, upload: str, files: Sequence[UploadFile]) -> dict[str, Any]: ...

    def writer(self, upload: str, place: dict[str, Any], file: int, number: int, size: int) -> PartWriter:
        """Part ``number`` (from 1) of file ``file`` (from 0)."""

    def forget(self, upload: str, mark: str) -> None:
        """A part that was replaced by another is gone."""

    def finish(
        self,
        upload: str,
        place: dict[str, Any],
        file: int,
        stated: UploadFile,
        marks: Sequence[str],
        seen: Progress,
    ) -> str:
        """The parts, in their order, are a blob in the store, read back whole; its digest.

        Safe to be done by two at once, and again after a kill.

        Raises:
            ContentDiffers: UPLOAD-009, it is not what its sender said; nothing is in the store.
        """

    def drop(self, upload: str, place: dict[str, Any]) -> None:
        """Nothing is left of the upload's parts."""

    def sweep(self, living: set[str]) -> int:
        """What was left of uploads that are not in ``living`` is gone; returns the bytes that came back."""


class FolderParts:
    """Each part a file of its own: a torn write harms nothing that was acknowledged.

    Args:
        root: The folder of uploads, best on the file system of the store.
        store: Where whole files go.
        free: How much room there is, injected in tests.
    """

    def __init__(self, root: Path, store: BlobStore, *, free: Callable[[Path], int] = free_bytes) -> None:
        self.root = root
        self._store = store
        self._free = free

    def free_bytes(self) -> int | None:
        return self._free(self.root)

    def needed_bytes(self, sizes: Sequence[int]) -> int:
        return sum(sizes) + (max(sizes, default=0) if isinstance(self._store, LocalBlobs) else 0)

    def begin(self, upload: str, files: Sequence[UploadFile]) -> dict[str, Any]:
        make_folder(self.root / upload)
        sync_folder(self.root)
        return {}

    def writer(self, upload: str, place: dict[str, Any], file: int, number: int, size: int) -> PartWriter:
        return _FileWriter(self.root / upload, f"{file}-{number}")

    def forget(self, upload: str, mark: str) -> None:
        with suppress(OSError):
            (self.root / upload / mark).unlink()

    def finish(
        self,
        upload: str,
        place: dict[str, Any],
        file: int,
        stated: UploadFile,
        marks: Sequence[str],
        seen: Progress,
    ) -> str:
        paths = [self.root / upload / mark for mark in marks]
        if isinstance(self._store, LocalBlobs):
            return self._join(self._store, upload, file, stated, paths, seen)
        digest = checked_digest(stated, watched(_chained(paths), seen))
        self._store.put(digest, _chained(paths), stated.size)
        return digest

    def drop(self, upload: str, place: dict[str, Any]) -> None:
        shutil.rmtree(self.root / upload, ignore_errors=True)

    def sweep(self, living: set[str]) -> int:
        freed = 0
        for folder in self.root.iterdir() if self.root.is_dir() else ():
            if folder.name not in living and time.time() - folder.stat().st_mtime > _ABANDONED_S:
                freed += folder_bytes(folder)
                shutil.rmtree(folder, ignore_errors=True)
        return freed

    def _join(
        self,
        store: LocalBlobs,
        upload: str,
        file: int,
        stated: UploadFile,
        paths: Sequence[Path],
        seen: Progress,
    ) -> str:
        """The parts as one file, on disk, read back, and then moved into the store."""
        whole = self.root / upload / f"whole-{file}-{secrets.token_hex(4)}"
        try:
            if len(paths) == 1 and _linked(paths[0], whole):
                pieces = read_file(whole)
            else:
                pieces = _concatenated(paths, whole)
            digest = checked_digest(stated, watched(pieces, seen))
            store.take(digest, whole)
            return digest
        finally:
            with suppress(OSError):
                whole.unlink()


class _FileWriter:
    """Written under another name, synced, renamed; the folder is synced too."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._mark = folder, f"{name}-{secrets.token_hex(4)}"
        self._temporary = folder / f"{self._mark}.tmp"
        make_folder(folder)
        with writing(self._temporary):
            self._file = open(self._temporary, "wb")  # noqa: SIM115 (closed by close or cancel)

    def write(self, piece: bytes) -> None:
        with writing(self._temporary):
            self._file.write(piece)

    def close(self) -> str:
        with writing(self._temporary):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.rename(self._temporary, self._folder / self._mark)
            sync_folder(self._folder)
        return self._mark

    def cancel(self) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._temporary.unlink()


def _linked(part: Path, whole: Path) -> bool:
    """A part that is the whole file, and is on disk already, gets a second name."""
    with reading(part):
        os.stat(part)
    try:
        os.link(part, whole)
    except OSError:
        return False
    return True


def _concatenated(paths: Sequence[Path], whole: Path) -> Iterator[bytes]:
    """The bytes of ``whole`` as they are read back, which becomes one file of all parts; it is on disk at the end.

    One thread copies and syncs, the other reads right behind it: neither waits for the other's work.
    """
    copied: Queue[int | MozhuError] = Queue()
    with writing(whole):
        whole.touch()
    thread = threading.Thread(target=_concatenate, args=(paths, whole, copied))
    thread.start()
    try:
        with reading(whole), open(whole, "rb") as file:
            while (size := copied.get()) != _ALL_COPIED:
                if isinstance(size, MozhuError):
                    raise size
                yield from _read(file, size)
    finally:
        thread.join()


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (piece := file.read(min(_READ_BYTES, size))):
        size -= len(piece)
        yield piece


def _concatenate(paths: Sequence[Path], whole: Path, copied: Queue[int | MozhuError]) -> None:
    """One file of all, on disk; copied inside the kernel, which shares the blocks where the file system can.

    ``copied`` is told the size of each part that has been copied, and at last ``_ALL_COPIED`` or an error.
    """
    try:
        with writing(whole), open(whole, "wb") as out:
            for path in paths:
                with reading(path), open(path, "rb") as part:
                    size = os.fstat(part.fileno()).st_size
                    _copy(part.fileno(), out.fileno(), size)
                copied.put(size)
            os.fsync(out.fileno())
        copied.put(_ALL_COPIED)
    except MozhuError as error:
        copied.put(error)
    except BaseException as error:
        copied.put(NotWritable(path=str(whole), reason=repr(error)))
        raise


def _copy(source: int, target: int, size: int) -> None:
    while size > 0:
        count = _copied(source, target, min(size, _COPY_BYTES))
        if count == 0:
            raise OSError("a part is shorter than it was")
        size -= count


def _copied(source: int, target: int, size: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, size)
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
    content = os.read(source, size)
    view = memoryview(content)
    while view:
        view = view[os.write(target, view) :]
    return len(content)


def _chained(paths: Sequence[Path]) -> Iterator[bytes]:
    for path in paths:
        yield from read_file(path)


def watched(pieces: Iterator[bytes], seen: Progress) -> Iterator[bytes]:
    for piece in pieces:
        seen(len(piece))
        yield piece


def checked_digest(stated: UploadFile, pieces: Iterator[bytes]) -> str:
    """The digest of ``pieces``, which is the one that was stated, if one was.

    Raises:
        ContentDiffers: UPLOAD-009.
    """
    hashed, count = hashlib.sha256(), 0
    for piece in pieces:
        hashed.update(piece)
        count += len(piece)
    found = digest_of(hashed.hexdigest())
    if count != stated.size or (stated.sha256 is not None and stated.sha256 != found):
        raise ContentDiffers(path=stated.path, expected=stated.sha256 or stated.size, found=found)
    return found
