"""Tar archives, by a reader of our own: the one that checks is the one that unpacks.

Plain files and folders of ustar, GNU and pax archives; every other kind of member is refused by name. Nothing is
read whole: a member's bytes pass in pieces, a long name or a pax record may be 64 KB.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 512
_LONGEST_RECORD = 64 << 10
_PIECE_BYTES = 1 << 20
_FILE, _FOLDER = (b"0", b"\0", b"7"), b"5"
_LINKS = {b"1": "link", b"2": "link", b"3": "device", b"4": "device", b"6": "device"}


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class BadTar(ValueError):
    """``why`` is a word: ``checksum``, ``number``, ``short``, ``record``, ``kind`` or ``name``."""

    def __init__(self, why: str, name: str = "") -> None:
        super().__init__(why, name)
        self.why, self.name = why, name


@dataclass
class Member:
    """``kind`` is ``file``, ``folder``, ``link``, ``device`` or ``other``. ``pieces`` gives a file's bytes once."""

    name: str
    kind: str
    size: int
    _file: Readable
    _left: int = 0

    def pieces(self) -> Iterator[bytes]:
        while self._left:
            piece = self._file.read(min(_PIECE_BYTES, self._left))
            if not piece:
                raise BadTar("short", self.name)
            self._left -= len(piece)
            yield piece


def read_tar(file: Readable) -> Iterator[Member]:
    """The members in their order; each is to be used before the next is asked for.

    Raises:
        BadTar: The archive is damaged or cut short.
    """
    told: dict[str, str] = {}
    while header := _header(file):
        name, size, kind = _text(header[:100]), _number(header[124:136]), header[156:157]
        if header[257:263] == b"ustar\0" and header[345]:
            name = f"{_text(header[345:500])}/{name}"
        if kind in (b"L", b"x"):
            told.update(_record(file, size, kind))
            continue
        if kind in (b"g", b"K"):
            _record(file, size, b"K")
            continue
        name = told.get("path", name)
        size = _decimal(told["size"]) if "size" in told else size
        told = {}
        member = _member(name, kind, size, file)
        yield member
        for _ in member.pieces():
            pass
        _skip(file, -size % BLOCK if member.kind == "file" else 0)


def _member(name: str, kind: bytes, size: int, file: Readable) -> Member:
    if kind in _FILE and not (kind == b"\0" and name.endswith("/")):
        return Member(name, "file", size, file, size)
    if kind == _FOLDER or kind == b"\0":
        return Member(name, "folder", 0, file)
    return Member(name, _LINKS.get(kind, "other"), 0, file)


def looks_like_tar(block: bytes) -> bool:
    try:
        return len(block) == BLOCK and any(block) and _number(block[148:156]) == _checksum(block)
    except BadTar:
        return False


def _header(file: Readable) -> bytes | None:
    """The next header; ``None`` at the end, where only zeros may follow."""
    block = _exactly(file, BLOCK, end_allowed=True)
    if block is None:
        raise BadTar("short")
    if not any(block):
        while rest := file.read(_PIECE_BYTES):
            if any(rest):
                raise BadTar("record")
        return None
    if _number(block[148:156]) != _checksum(block):
        raise BadTar("checksum")
    return block


def _checksum(block: bytes) -> int:
    return sum(block[:148]) + 8 * 32 + sum(block[156:])


def _record(file: Readable, size: int, kind: bytes) -> dict[str, str]:
    """A long name of GNU tar, or the records of pax: name and size count, the rest is not ours."""
    if size > _LONGEST_RECORD:
        raise BadTar("record")
    content = _exactly(file, size) or b""
    _skip(file, -size % BLOCK)
    if kind == b"L":
        return {"path": _text(content)}
    return _pax(content) if kind == b"x" else {}


def _pax(content: bytes) -> dict[str, str]:
    found = {}
    while content:
        length, _, _ = content.partition(b" ")
        size = _decimal(length.decode("ascii", "replace"))
        line, content = content[len(length) + 1 : size], content[size:]
        key, equals, value = line.partition(b"=")
        if size <= len(length) + 1 or not equals or not value.endswith(b"\n"):
            raise BadTar("record")
        name = key.decode("utf-8", "replace")
        if name.startswith("GNU.sparse"):
            raise BadTar("kind", name)
        if name in ("path", "size"):
            found[name] = _decoded(value[:-1])
    return found


def _text(raw: bytes) -> str:
    return _decoded(raw.split(b"\0", 1)[0])


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadTar("name", repr(raw[:100])) from error


def _number(raw: bytes) -> int:
    """An octal number, or GNU's binary one; neither may be negative."""
    if raw[0] & 0x80:
        value = int.from_bytes(bytes([raw[0] & 0x7F]) + raw[1:], "big")
        if value >> 62:
            raise BadTar("number")
        return value
    digits = raw.split(b"\0", 1)[0].strip()
    if digits and not set(digits) <= set(b"01234567"):
        raise BadTar("number")
    return int(digits or b"0", 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadTar("number")
    return int(text)


def _exactly(file: Readable, size: int, *, end_allowed: bool = False) -> bytes | None:
    content = b""
    while len(content) < size:
        piece = file.read(size - len(content))
        if not piece:
            if end_allowed and not content:
                return None
            raise BadTar("short")
        content += piece
    return content


def _skip(file: Readable, size: int) -> None:
    _exactly(file, size)
