"""An archive becomes a folder: whole and checked, or not at all."""

from __future__ import annotations

import gzip
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from mozhu.engine.intake.entry_names import NameRegister, name_fault, plain_name
from mozhu.engine.intake.findings import is_refused, reason, refused
from mozhu.engine.intake.limits import Limits
from mozhu.engine.intake.tars import BadTar, Member, read_tar
from mozhu.engine.intake.zips import list_zip, open_entry, opened_zip
from mozhu.kernel.files import make_folder, reading, writing
from mozhu.specs.records.findings import Finding

_PIECE_BYTES = 1 << 20
Done = Callable[[int, int], None]


class _Refused(Exception):
    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.code)
        self.finding = finding


def unpack(path: Path, kind: str, target: Path, limits: Limits, done: Done) -> list[Finding]:
    """The files of ``path`` in the empty folder ``target``; with a finding of level error it holds nothing of use.

    Args:
        kind: ``zip``, ``tar`` or ``tar.gz``.
        done: Told of the bytes unpacked so far and of all there are.
    """
    return (
        _unpack_zip(path, target, limits, done)
        if kind == "zip"
        else _unpack_tar(path, kind, target, limits, done)
    )


def _unpack_zip(path: Path, target: Path, limits: Limits, done: Done) -> list[Finding]:
    listing = list_zip(path, limits)
    if is_refused(listing.findings):
        return listing.findings
    written = 0
    try:
        with opened_zip(path) as archive:
            for name, info in listing.files.items():
                with open_entry(archive, info) as file:
                    pieces = iter(lambda file=file: file.read(_PIECE_BYTES), b"")  # type: ignore[misc]
                    for count in _write(target / name, _at_most(pieces, info.file_size, path.name, name)):
                        written += count
                        done(written, listing.total_bytes)
    except _Refused as error:
        return [*listing.findings, error.finding]
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        return [*listing.findings, refused("SAFE-119", path.name, reason=str(error)[:200])]
    return listing.findings


def _at_most(pieces: Iterable[bytes], size: int, archive: str, name: str) -> Iterator[bytes]:
    left = size
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            break
        yield piece
    if left:
        raise _Refused(refused("SAFE-118", archive, reason=reason("zip_sizes", name=name)))


def _unpack_tar(path: Path, kind: str, target: Path, limits: Limits, done: Done) -> list[Finding]:
    tally = _Tally(path.name, limits, path.stat().st_size)
    try:
        with reading(path), open(path, "rb") as raw, _plain(raw, kind) as file:
            for member in read_tar(_Counted(file, tally)):
                tally.take(member)
                if member.kind == "file" and not is_refused(tally.findings):
                    for _ in _write(target / plain_name(member.name), member.pieces()):
                        done(min(raw.tell(), tally.packed), tally.packed)
    except _Refused as error:
        tally.findings.append(error.finding)
    except BadTar as error:
        tally.findings.append(
            refused("SAFE-119", path.name, reason=reason(f"tar_{error.why}", name=error.name))
        )
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        tally.findings.append(refused("SAFE-119", path.name, reason=str(error)[:200]))
    return tally.findings


def _plain(raw: BinaryIO, kind: str) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=raw, mode="rb")) if kind == "tar.gz" else raw


class _Counted:
    """What comes out of a compressed stream, held against the limits at every read."""

    def __init__(self, file: BinaryIO, tally: _Tally) -> None:
        self._file, self._tally = file, tally

    def read(self, size: int) -> bytes:
        piece = self._file.read(min(size, _PIECE_BYTES))
        self._tally.count(len(piece))
        return piece


class _Tally:
    """What has come out of a tar archive so far."""

    def __init__(self, shown: str, limits: Limits, packed: int) -> None:
        self.shown, self.limits, self.packed = shown, limits, packed
        self.findings: list[Finding] = []
        self._names = NameRegister()
        self._out = self._entries = 0

    def count(self, size: int) -> None:
        self._out += size
        if self._out > self.limits.total_bytes:
            raise _Refused(refused("SAFE-115", self.shown, bytes=self._out, limit=self.limits.total_bytes))
        if self._out > self.limits.ratio_from_bytes and self._out > self.limits.ratio * self.packed:
            raise _Refused(refused("SAFE-116", self.shown, name="*", ratio=self.limits.ratio))

    def take(self, member: Member) -> None:
        self._entries += 1
        if self._entries > self.limits.entries:
            raise _Refused(refused("SAFE-114", self.shown, count=self._entries, limit=self.limits.entries))
        name = plain_name(member.name)
        if member.kind == "folder" and not name:
            return
        shown = repr(member.name)[:200]
        if fault := name_fault(name, self.limits.depth):
            self.findings.append(refused("SAFE-111", self.shown, name=shown, reason=reason(f"name_{fault}")))
        if member.kind not in ("file", "folder"):
            self.findings.append(refused("SAFE-113", self.shown, name=shown))
        if member.kind == "file" and self._names.collides(name):
            self.findings.append(refused("SAFE-112", self.shown, name=name))


def _write(path: Path, pieces: Iterable[bytes]) -> Iterator[int]:
    """Writes a new file; gives the size of each piece written. An existing file is never opened."""
    make_folder(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    with writing(path):
        file = os.fdopen(os.open(path, flags, 0o644), "wb", buffering=0)
    with file:
        for piece in pieces:
            with writing(path):
                file.write(piece)
            yield len(piece)
        with writing(path):
            os.fsync(file.fileno())
