"""Rows of CSV and TSV files: quoted commas, line breaks in cells, any of the usual delimiters."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from mozhu.engine.data.encodings import HEAD_BYTES, decode_head, open_text
from mozhu.engine.data.packed import read_head, suffix_of
from mozhu.engine.data.rows import RawRow, RowProblem, reject
from mozhu.kernel.files import reading
from mozhu.specs.records.snapshot import RejectedRow

_SUFFIXES = {".csv", ".tsv", ".tab"}
_DELIMITERS = (",", "\t", ";", "|", "\x01")
_ROWS_LOOKED_AT = 20
# A cell may hold a whole document; the module's own limit is 128 KiB.
csv.field_size_limit(1 << 30)


class CsvReader:
    """A table whose first row names the columns; every cell is a string."""

    def sniff(self, path: Path, head: bytes) -> bool:
        """By its ending, else by the same number (two or more) of cells in each of the first rows."""
        if suffix_of(path) in _SUFFIXES:
            return True
        if suffix_of(path) in {".txt", ".md"}:
            return _looks_like_a_table(decode_head(head), ("\t",), least=3)
        return _looks_like_a_table(decode_head(head), _DELIMITERS, least=2)

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        delimiter = _delimiter(decode_head(read_head(path, HEAD_BYTES)))
        header: list[str] | None = None
        with reading(path), open_text(path, newline="") as file:
            for line, cells, source in _Table(file, delimiter).read():
                if isinstance(cells, RowProblem):
                    yield reject(RawRow(path.name, line, source), cells)
                elif not any(cell.strip() for cell in cells):
                    continue
                elif header is None:
                    header = [cell.strip("\ufeff \t") for cell in cells]
                    repeated = [name for name in header if header.count(name) > 1]
                    if repeated:
                        problem = RowProblem("DATA-113", repeated[0])
                        yield reject(RawRow(path.name, line, source), problem)
                        return
                else:
                    yield _row(path.name, line, header, cells, source)


class _Table:
    """Parses rows from lines and knows on which line each began.

    After a broken row it goes on with the line that follows the row's first one, so that a quote which is
    never closed costs one row and not the rest of the file.
    """

    def __init__(self, lines: Iterable[str], delimiter: str) -> None:
        self._lines = iter(lines)
        self._delimiter = delimiter
        self._again: list[str] = []
        self._taken: list[str] = []

    def read(self) -> Iterator[tuple[int, list[str] | RowProblem, str]]:
        """Each row as (its first line, its cells or what is wrong, its source text)."""
        line = 1
        parser = self._parser()
        while True:
            self._taken = []
            try:
                cells: list[str] | RowProblem = next(parser)
            except StopIteration:
                return
            except csv.Error as error:
                cells = RowProblem("DATA-112", "", reason=str(error))
                self._again = self._taken[1:] + self._again
                self._taken = self._taken[:1]
                parser = self._parser()
            yield line, cells, "".join(self._taken)
            line += len(self._taken)

    def _parser(self) -> Iterator[list[str]]:
        return csv.reader(self._feed(), delimiter=self._delimiter, strict=True)

    def _feed(self) -> Iterator[str]:
        while True:
            line = self._again.pop(0) if self._again else next(self._lines, None)
            if line is None:
                return
            self._taken.append(line)
            yield line


def _row(file: str, line: int, header: list[str], cells: list[str], source: str) -> RawRow | RejectedRow:
    if len(cells) > len(header):
        return reject(
            RawRow(file, line, source), RowProblem("DATA-111", "", cells=len(cells), columns=len(header))
        )
    return RawRow(file, line, {name: _with_plain_ends(cell) for name, cell in zip(header, cells)})


def _with_plain_ends(cell: str) -> str:
    return cell.replace("\r\n", "\n").replace("\r", "\n") if "\r" in cell else cell


def _delimiter(head: str) -> str:
    """The delimiter that cuts most of the first rows into as many cells as the header; else a comma."""
    found = [(*_fit(head, sign), -number, sign) for number, sign in enumerate(_DELIMITERS)]
    share, width, _, sign = max(found)
    return sign if width >= 2 and share > 0 else ","


def _fit(head: str, delimiter: str) -> tuple[float, int]:
    """The share of the first rows that have as many cells as the header, and that number; 0 for one column."""
    widths = _widths(head, delimiter)
    if not widths or widths[0] < 2:
        return 0.0, 0
    rest = widths[1:]
    return (sum(width == widths[0] for width in rest) / len(rest) if rest else 1.0), widths[0]


def _looks_like_a_table(head: str, delimiters: Iterable[str], *, least: int) -> bool:
    widths = [_widths(head, sign) for sign in delimiters]
    return any(len(found) >= least and len(set(found)) == 1 and found[0] >= 2 for found in widths)


def _widths(head: str, delimiter: str) -> list[int]:
    """The number of cells in each of the first rows; a row that the head cuts is left out."""
    lines = head.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    whole = lines if len(head) < HEAD_BYTES // 4 else lines[:-1]
    widths = []
    try:
        for cells in csv.reader((line + "\n" for line in whole), delimiter=delimiter):
            if any(cell.strip() for cell in cells):
                widths.append(len(cells))
            if len(widths) == _ROWS_LOOKED_AT:
                break
    except csv.Error:
        return []
    return widths
