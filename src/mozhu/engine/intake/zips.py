"""Zip archives, read so that no two readers can see different files in one.

Python's ``zipfile`` goes by the directory at the end. Here every entry's own header must say the same, entries may
neither overlap nor leave room between them, and nothing may stand before the first or behind the end.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from mozhu.engine.intake.entry_names import NameRegister, name_fault, plain_name
from mozhu.engine.intake.findings import reason, refused
from mozhu.engine.intake.limits import Limits
from mozhu.kernel.files import reading
from mozhu.specs.records.findings import Finding

MAGIC = b"PK\x03\x04"
_END = b"PK\x05\x06"
_LOCAL = struct.Struct("<4s5H3I2H")
_DESCRIPTOR_BYTES = 24
_TAIL_BYTES = 22 + 65_535
_END_RECORDS_BYTES = 22 + 20 + 56
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LARGEST_DIRECTORY = 16 << 20


@dataclass(frozen=True)
class ZipListing:
    """``files`` are the entries that hold data, by their names; with ``findings`` of level error none is to be read."""

    files: dict[str, zipfile.ZipInfo]
    findings: list[Finding]
    total_bytes: int = 0


@contextmanager
def opened_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    with reading(path), zipfile.ZipFile(path) as archive:
        yield archive


def list_zip(path: Path, limits: Limits, *, shown: str | None = None) -> ZipListing:
    """What ``path`` holds and everything that stands against it, without unpacking a byte."""
    name = shown or path.name
    try:
        with reading(path), open(path, "rb") as file:
            faults = _end_faults(file, limits)
            if faults:
                return ZipListing({}, [refused(code, name, **params) for code, params in faults])
            with zipfile.ZipFile(file) as archive:
                return _listed(archive, file, name, limits)
    except (
        zipfile.BadZipFile,
        struct.error,
        ValueError,
        NotImplementedError,
        OverflowError,
        EOFError,
    ) as error:
        return ZipListing({}, [refused("SAFE-119", name, reason=str(error)[:200])])


def open_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    return archive.open(info)


def _end_faults(file: BinaryIO, limits: Limits) -> list[tuple[str, dict[str, object]]]:
    """What the end of the file says, before anything goes by it."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _TAIL_BYTES))
    tail = file.read()
    place = tail.rfind(_END)
    if place < 0 or len(tail) - place < 22:
        return [("SAFE-119", {"reason": reason("zip_end")})]
    count, directory_bytes = (
        struct.unpack_from("<H", tail, place + 10)[0],
        struct.unpack_from("<I", tail, place + 12)[0],
    )
    comment = struct.unpack_from("<H", tail, place + 20)[0]
    if comment != len(tail) - place - 22 or comment > 1024:
        return [("SAFE-118", {"reason": reason("zip_two_ends")})]
    if count != 0xFFFF and count > limits.entries:
        return [("SAFE-114", {"count": count, "limit": limits.entries})]
    if directory_bytes != 0xFFFFFFFF and directory_bytes > _LARGEST_DIRECTORY:
        return [("SAFE-114", {"count": f"> {limits.entries}", "limit": limits.entries})]
    if count == 0xFFFF or directory_bytes == 0xFFFFFFFF:
        return _wide_end_faults(tail, place, limits)
    return []


def _wide_end_faults(tail: bytes, place: int, limits: Limits) -> list[tuple[str, dict[str, object]]]:
    """The zip64 record, which stands right before its locator and the end."""
    start = place - 20 - 56
    if (
        start < 0
        or tail[start : start + 4] != b"PK\x06\x06"
        or tail[place - 20 : place - 16] != b"PK\x06\x07"
    ):
        return [("SAFE-118", {"reason": reason("zip_two_ends")})]
    count, directory_bytes = struct.unpack_from("<QQ", tail, start + 32)
    if count > limits.entries or directory_bytes > _LARGEST_DIRECTORY:
        return [("SAFE-114", {"count": count, "limit": limits.entries})]
    return []


def _listed(archive: zipfile.ZipFile, file: BinaryIO, shown: str, limits: Limits) -> ZipListing:
    infos = archive.infolist()
    findings: list[Finding] = []
    if len(infos) > limits.entries:
        findings.append(refused("SAFE-114", shown, count=len(infos), limit=limits.entries))
        return ZipListing({}, findings)
    files: dict[str, zipfile.ZipInfo] = {}
    register = NameRegister()
    for info in infos:
        name = plain_name(info.orig_filename)
        findings += _entry_findings(info, name, shown, limits)
        if info.is_dir():
            continue
        if register.collides(name):
            findings.append(refused("SAFE-112", shown, name=name))
        files[name] = info
    findings += [refused("SAFE-118", shown, reason=why) for why in _layout_faults(archive, file, infos)[:5]]
    total = sum(info.file_size for info in infos)
    if total > limits.total_bytes:
        findings.append(refused("SAFE-115", shown, bytes=total, limit=limits.total_bytes))
    return ZipListing(files, findings, total)


def _entry_findings(info: zipfile.ZipInfo, name: str, shown: str, limits: Limits) -> list[Finding]:
    found = []
    if fault := name_fault(name, limits.depth):
        found.append(
            refused("SAFE-111", shown, name=repr(info.orig_filename)[:200], reason=reason(f"name_{fault}"))
        )
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        found.append(refused("SAFE-113", shown, name=name))
    if info.flag_bits & 0x1 or info.compress_type not in _METHODS:
        found.append(refused("SAFE-117", shown, name=name))
    if info.file_size > limits.ratio_from_bytes and info.file_size > limits.ratio * max(
        info.compress_size, 1
    ):
        found.append(refused("SAFE-116", shown, name=name, ratio=limits.ratio))
    if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
        found.append(refused("SAFE-118", shown, reason=reason("zip_sizes", name=name)))
    return found


def _layout_faults(archive: zipfile.ZipFile, file: BinaryIO, infos: list[zipfile.ZipInfo]) -> list[str]:
    """Where the entries' own headers say otherwise than the directory, or lie otherwise than end to end."""
    faults = []
    position = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        file.seek(info.header_offset)
        raw = file.read(_LOCAL.size)
        if len(raw) < _LOCAL.size or raw[:4] != MAGIC:
            faults.append(reason("zip_no_header", name=info.filename))
            continue
        _, _, flags, method, _, _, _, packed, size, name_bytes, extra_bytes = _LOCAL.unpack(raw)
        name = file.read(name_bytes)
        encoding = "utf-8" if info.flag_bits & 0x800 else "cp437"
        if name != info.orig_filename.encode(encoding, "replace"):
            faults.append(reason("zip_other_name", name=info.filename))
        described = bool(flags & 0x8)
        wide = 0xFFFFFFFF in (packed, size)
        same = (packed, size) == (info.compress_size, info.file_size) or wide or described
        if method != info.compress_type or not same or (flags ^ info.flag_bits) & 0x1:
            faults.append(reason("zip_sizes", name=info.filename))
        room = info.header_offset - position
        if room < 0 or room > (_DESCRIPTOR_BYTES if position else 0):
            faults.append(reason("zip_room", name=info.filename))
        position = info.header_offset + _LOCAL.size + name_bytes + extra_bytes + info.compress_size
    directory = getattr(archive, "start_dir", position)
    if not 0 <= directory - position <= _DESCRIPTOR_BYTES:
        faults.append(reason("zip_room", name="…"))
    return faults
