"""Reads the rows of a file, whatever its format: the port of the slot ``mozhu.readers`` and its choice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from mozhu.engine.data.encodings import HEAD_BYTES
from mozhu.engine.data.magic import BY_CONTENT
from mozhu.engine.data.packed import packing_of, read_head, suffix_of
from mozhu.engine.data.rows import RawRow, RowProblem, has_damaged_characters, reject
from mozhu.kernel.errors import UnknownFileFormat
from mozhu.kernel.slots import load, names
from mozhu.specs.records.snapshot import RejectedRow

SLOT = "mozhu.readers"
# Asked first, in this order: the strictest signs first, plain text last because every text file is one.
_ORDER = ("json", "jsonl", "csv")
_LAST = "text"
# Names that promise a format: what is wrong is then said by that format's reader.
_PROMISED = {".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}
# Names that promise columns: without their signs, and without those of a table, such a file is damaged.
_NEVER_TEXT = {".parquet", ".arrow", ".xlsx"}


class Reader(Protocol):
    """Reads one file format; made anew for each file."""

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether a file with these first bytes (at most 64 KiB) is of this format, by content first."""

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        """Every row in the file's order, with its line; what cannot be read comes as a rejected row."""


def find_format(path: Path) -> str:
    """The name of the reader for ``path``.

    Raises:
        MissingFile: FILE-001. UnknownFileFormat: DATA-004. DamagedDataFile: DATA-010.
    """
    head = read_head(path, HEAD_BYTES)
    if not packing_of(path):
        for name, is_it in BY_CONTENT.items():
            if is_it(head):
                return name
    known = names(SLOT)
    others = [name for name in known if name not in (*BY_CONTENT, *_ORDER, _LAST)]
    last = () if suffix_of(path) in _NEVER_TEXT else (_LAST,)
    for name in (*others, *_ORDER, *last):
        if name in known and load(SLOT, name)().sniff(path, head):
            return name
    if suffix_of(path) in _PROMISED:
        return _PROMISED[suffix_of(path)]
    raise UnknownFileFormat(path=str(path))


def read_rows(path: Path, input_format: str = "auto") -> Iterator[RawRow | RejectedRow]:
    """Every row of ``path`` in order; rows with damaged characters are rejected here, for every format.

    Raises:
        MissingFile: FILE-001. BadJson: FILE-004. UnknownFileFormat: DATA-004. UnknownSlotName: ENV-004.
    """
    name = find_format(path) if input_format == "auto" else input_format
    reader: Reader = load(SLOT, name)()
    for row in reader.rows(path):
        if isinstance(row, RawRow) and has_damaged_characters(row.value):
            yield reject(row, RowProblem("DATA-114", _damaged_field(row.value)))
        else:
            yield row


def _damaged_field(value: object) -> str:
    if isinstance(value, dict):
        for name, item in value.items():
            if has_damaged_characters(name) or has_damaged_characters(item):
                return name if not has_damaged_characters(name) else ""
    return ""
