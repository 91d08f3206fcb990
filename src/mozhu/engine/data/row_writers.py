"""Rows into a file, one at a time: JSON, JSON lines, CSV and TSV, also packed."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from mozhu.engine.data.packed import plain_name, suffix_of
from mozhu.kernel.errors import BadDataTarget
from mozhu.kernel.files import json_line, replacing

Write = Callable[[dict[str, Any]], None]


class _Writer(Protocol):
    def row(self, row: dict[str, Any]) -> None: ...

    def end(self) -> None: ...


@contextmanager
def writing_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Write]:
    """A function that writes a row; ``path`` appears when the block ends well, and stays as it was else.

    ``columns`` are those of tables, where lists and objects stand as JSON text.

    Raises:
        BadDataTarget: DATA-015, the name does not tell the format.
    """
    make = _writer_of(path)
    with replacing(path) as file:
        packed = path.suffix.lower() == ".gz"
        out = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if packed else file
        writer: _Writer = make(out, columns)
        yield writer.row
        writer.end()
        if packed:
            out.close()


class JsonWriter:
    """One array, byte for byte what ``json.dump(rows, file, ensure_ascii=False, indent=2)`` writes."""

    def __init__(self, file: BinaryIO, _columns: tuple[str, ...] = ()) -> None:
        self._file, self._count = file, 0

    def row(self, row: dict[str, Any]) -> None:
        content = json.dumps(row, ensure_ascii=False, indent=2).replace("\n", "\n  ")
        self._file.write(f"{',' if self._count else '['}\n  {content}".encode())
        self._count += 1

    def end(self) -> None:
        self._file.write(b"\n]" if self._count else b"[]")


class _JsonLines:
    def __init__(self, file: BinaryIO, _columns: tuple[str, ...]) -> None:
        self._file = file

    def row(self, row: dict[str, Any]) -> None:
        self._file.write(json_line(row))

    def end(self) -> None:
        pass


class _Table:
    def __init__(self, file: BinaryIO, columns: tuple[str, ...], delimiter: str = ",") -> None:
        self._columns = columns
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._table = csv.writer(self._text, delimiter=delimiter, lineterminator="\n")
        self._table.writerow(columns)

    def row(self, row: dict[str, Any]) -> None:
        self._table.writerow([_cell(row.get(name)) for name in self._columns])

    def end(self) -> None:
        self._text.flush()
        self._text.detach()


class _Tabs(_Table):
    def __init__(self, file: BinaryIO, columns: tuple[str, ...]) -> None:
        super().__init__(file, columns, "\t")


_WRITERS: dict[str, Callable[[Any, tuple[str, ...]], _Writer]] = {
    ".json": JsonWriter,
    ".jsonl": _JsonLines,
    ".ndjson": _JsonLines,
    ".csv": _Table,
    ".tsv": _Tabs,
}


def _writer_of(path: Path) -> Callable[[Any, tuple[str, ...]], _Writer]:
    suffix = suffix_of(path)
    if suffix not in _WRITERS or path.suffix.lower() not in {suffix, ".gz"}:
        example = plain_name(path).with_suffix(".jsonl")
        raise BadDataTarget(path=str(path), wanted="rows", known=list(_WRITERS), example=str(example))
    return _WRITERS[suffix]


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value
