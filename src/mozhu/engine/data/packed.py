"""Files of bytes as they are meant: ``.gz`` and ``.zst`` are unpacked while they are read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

from mozhu.kernel.errors import DamagedDataFile
from mozhu.kernel.files import reading
from mozhu.kernel.slots import load

_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BUFFER_BYTES = 1 << 18
_ENDINGS = {".gz", ".gzip", ".zst", ".zstd"}


def packing_of(path: Path) -> str:
    """``gzip``, ``zstd`` or nothing, by the file's first bytes.

    Raises:
        MissingFile: FILE-001. NotReadable: FILE-005. DamagedDataFile: DATA-010, it ends within its first bytes.
    """
    with reading(path), open(path, "rb") as file:
        head = file.read(4)
    if head and len(head) < 4 and path.suffix.lower() in _ENDINGS and (head in _GZIP or head in _ZSTD):
        raise DamagedDataFile(path=str(path), reason="truncated")
    return "gzip" if head.startswith(_GZIP) else "zstd" if head == _ZSTD else ""


def plain_name(path: Path) -> Path:
    """``path`` without the ending of its packing: ``rows.jsonl.gz`` is ``rows.jsonl``."""
    return path.with_suffix("") if path.suffix.lower() in _ENDINGS else path


def suffix_of(path: Path) -> str:
    """The ending that tells the format, in small letters, whatever packs it."""
    return plain_name(path).suffix.lower()


def open_bytes(path: Path) -> BinaryIO:
    """``path`` open for reading, unpacked on the way.

    Raises:
        MissingExtra: ENV-001, ``.zst`` without its library.
    """
    packing = packing_of(path)
    if packing == "gzip":
        return _buffered(gzip.open(path, "rb"), path)
    if packing == "zstd":
        return _buffered(load("mozhu.rooms", "open_zstd")(path), path)
    return open(path, "rb")


def read_head(path: Path, size: int) -> bytes:
    with reading(path), open_bytes(path) as file:
        return file.read(size)


@contextmanager
def unpacking(path: Path) -> Iterator[None]:
    """Turn what a library says about a damaged file into DATA-010."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedDataFile(path=str(path), reason=str(error)) from error


def _buffered(packed: Any, path: Path) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(_Unpacked(packed, path), _BUFFER_BYTES))


class _Unpacked(io.RawIOBase):
    """What ``packed`` reads; its damage is named with the file."""

    def __init__(self, packed: Any, path: Path) -> None:
        self._packed, self._path = packed, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with unpacking(self._path):
            content = self._packed.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def close(self) -> None:
        self._packed.close()
        super().close()
