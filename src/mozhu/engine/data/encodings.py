"""In which encoding a text file is written, found from its content."""

from __future__ import annotations

import codecs
import io
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from mozhu.engine.data.packed import open_bytes, read_head
from mozhu.kernel.errors import UnknownFileFormat
from mozhu.kernel.files import reading

HEAD_BYTES = 1 << 16
_CHUNK_BYTES = 1 << 20
# So many damaged places, and most of what was read: no need to read on.
_ENOUGH = 1000
# Bytes that are not of the encoding become this lone surrogate, which no valid text holds.
_DAMAGED = "\udcff"
_KEEP_DAMAGED = "mozhu.damaged"
codecs.register_error(_KEEP_DAMAGED, lambda error: (_DAMAGED, error.end))  # type: ignore[attr-defined]

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def find_encoding(path: Path) -> str:
    """The encoding of ``path``: its mark, else UTF-16 by its zero bytes, else UTF-8, else GB18030.

    UTF-8 with a few damaged bytes stays UTF-8: nearly all UTF-8 Chinese is also valid GB18030, as other
    characters, so a single bad byte must not turn the whole file into them.

    Raises:
        MissingFile: FILE-001. NotReadable: FILE-005. UnknownFileFormat: DATA-004, it is no text at all.
    """
    with reading(path):
        state = path.stat()
    return _found(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1024)
def _found(path: Path, _changed: int, _size: int) -> str:
    """The answer is kept as long as the file stays what it is: to know it a whole file may be read."""
    head = read_head(path, HEAD_BYTES)
    marked = encoding_of_head(head)
    if marked:
        return marked
    if b"\x00" not in head:
        for name in ("utf-8", "gb18030"):
            damaged, good = _count(path, name)
            if damaged * 10 <= good:
                return name
    raise UnknownFileFormat(path=str(path))


def encoding_of_head(head: bytes) -> str | None:
    """The encoding that the first bytes show beyond doubt: a mark, or UTF-16 that begins with ASCII."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    if len(head) >= 4 and head[0] and head[1] == 0 and head[2] and head[3] == 0:
        return "utf-16-le"
    if len(head) >= 4 and head[0] == 0 and head[1] and head[2] == 0 and head[3]:
        return "utf-16-be"
    return None


def decode_head(head: bytes) -> str:
    """The first bytes of a file as text, to see its structure; a cut last character is left out."""
    marked = encoding_of_head(head)
    for name in (marked,) if marked else ("utf-8", "gb18030"):
        try:
            return codecs.getincrementaldecoder(name)().decode(head).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
    return head.decode(marked or "utf-8", errors="replace").lstrip("\ufeff")


def open_text(path: Path, *, newline: str | None = None) -> TextIO:
    """``path`` open for reading in the encoding found; damaged bytes become lone surrogates (see rows.py).

    ``newline`` is that of :func:`open`.
    """
    encoding = find_encoding(path)
    with reading(path):
        file = open_bytes(path)
        return io.TextIOWrapper(file, encoding=encoding, errors=_KEEP_DAMAGED, newline=newline)


def _count(path: Path, encoding: str) -> tuple[int, int]:
    """How many damaged places and how many good characters beyond ASCII ``path`` has in ``encoding``."""
    decoder = codecs.getincrementaldecoder(encoding)(errors=_KEEP_DAMAGED)
    damaged = good = 0
    with reading(path), open_bytes(path) as file:
        while True:
            chunk = file.read(_CHUNK_BYTES)
            text = decoder.decode(chunk, final=not chunk)
            if not text.isascii():
                bad = text.count(_DAMAGED)
                damaged += bad
                good += len(text) - bad - len(text.encode("ascii", "ignore"))
            if not chunk or (damaged > _ENOUGH and damaged * 10 > good):
                return damaged, good
