"""A zip of known files as a stream: stored, zip64 where it is needed, the same bytes every time, its size known before.

Format: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3. Checksums follow their files (data descriptors), so that no file
is read twice.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mozhu.kernel.errors import BlobDamaged

_LIMIT, _LIMIT_COUNT = 0xFFFFFFFF, 0xFFFF
_UTF8_AND_DESCRIPTOR = 0x0808
_DAY = (0 << 9) | (1 << 5) | 1  # 1980-01-01: the time of a download says nothing about a version
_PLAIN, _ZIP64 = 20, 45
_UNIX, _FILE_RIGHTS = 3 << 8, (0o100644) << 16
_LOCAL, _DESCRIPTOR = struct.Struct("<4s5H3I2H"), struct.Struct("<4s3I")
_DESCRIPTOR_64 = struct.Struct("<4sI2Q")
_CENTRAL, _END = struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
_END_64, _LOCATOR = struct.Struct("<4sQ2H2I4Q"), struct.Struct("<4sIQI")


@dataclass(frozen=True)
class ZipEntry:
    """One file of the zip: ``pieces`` gives its bytes when its turn comes."""

    name: str
    size: int
    pieces: Callable[[], Iterable[bytes]]

    @property
    def is_large(self) -> bool:
        return self.size >= _LIMIT


def zip_size(entries: Sequence[ZipEntry]) -> int:
    """How many bytes ``zip_stream`` gives."""
    at = sum(_local_size(entry) + entry.size + _descriptor_size(entry) for entry in entries)
    offsets, offset = [], 0
    for entry in entries:
        offsets.append(offset)
        offset += _local_size(entry) + entry.size + _descriptor_size(entry)
    central = sum(len(_central(entry, 0, offset)) for entry, offset in zip(entries, offsets))
    return at + central + len(_end(len(entries), at, central))


def zip_stream(entries: Sequence[ZipEntry]) -> Iterator[bytes]:
    """The bytes of the zip.

    Raises:
        BlobDamaged: STORE-002, a file has another size than it should; what was sent is no whole zip then.
    """
    at, central = 0, []
    for entry in entries:
        yield _local(entry)
        crc, count = 0, 0
        for piece in entry.pieces():
            crc, count = zlib.crc32(piece, crc), count + len(piece)
            yield piece
        if count != entry.size:
            raise BlobDamaged(place=entry.name, expected=entry.size, found=count)
        yield _descriptor(entry, crc)
        central.append(_central(entry, crc, at))
        at += _local_size(entry) + entry.size + _descriptor_size(entry)
    directory = b"".join(central)
    yield directory + _end(len(entries), at, len(directory))


def _local(entry: ZipEntry) -> bytes:
    name, extra = entry.name.encode("utf-8"), b""
    size = 0
    if entry.is_large:  # the sizes follow with the checksum; the mark says how wide they are
        extra, size = struct.pack("<2H2Q", 1, 16, 0, 0), _LIMIT
    needed = _ZIP64 if entry.is_large else _PLAIN
    header = _LOCAL.pack(
        b"PK\3\4", needed, _UTF8_AND_DESCRIPTOR, 0, 0, _DAY, 0, size, size, len(name), len(extra)
    )
    return header + name + extra


def _local_size(entry: ZipEntry) -> int:
    return _LOCAL.size + len(entry.name.encode("utf-8")) + (20 if entry.is_large else 0)


def _descriptor(entry: ZipEntry, crc: int) -> bytes:
    kind = _DESCRIPTOR_64 if entry.is_large else _DESCRIPTOR
    return kind.pack(b"PK\7\x08", crc, entry.size, entry.size)


def _descriptor_size(entry: ZipEntry) -> int:
    return (_DESCRIPTOR_64 if entry.is_large else _DESCRIPTOR).size


def _central(entry: ZipEntry, crc: int, offset: int) -> bytes:
    name = entry.name.encode("utf-8")
    wide = [entry.size, entry.size] if entry.is_large else []
    wide += [offset] if offset >= _LIMIT else []
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    needed = _ZIP64 if wide else _PLAIN
    size, place = min(entry.size, _LIMIT), min(offset, _LIMIT)
    header = _CENTRAL.pack(
        b"PK\1\2",
        _UNIX | needed,
        needed,
        _UTF8_AND_DESCRIPTOR,
        0,
        0,
        _DAY,
        crc,
        size,
        size,
        len(name),
        len(extra),
        0,
        0,
        0,
        _FILE_RIGHTS,
        place,
    )
    return header + name + extra


def _end(count: int, offset: int, size: int) -> bytes:
    """The end of the central directory, which begins at ``offset`` and has ``size`` bytes."""
    wide = b""
    if count >= _LIMIT_COUNT or offset >= _LIMIT or size >= _LIMIT:
        wide = _END_64.pack(b"PK\6\6", 44, _UNIX | _ZIP64, _ZIP64, 0, 0, count, count, size, offset)
        wide += _LOCATOR.pack(b"PK\6\7", 0, offset + size, 1)
    few = min(count, _LIMIT_COUNT)
    return wide + _END.pack(b"PK\5\6", 0, 0, few, few, min(size, _LIMIT), min(offset, _LIMIT), 0)
