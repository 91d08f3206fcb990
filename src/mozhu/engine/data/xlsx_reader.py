"""Rows of Excel workbooks, streamed; needs the ``[data]`` extra. Lines are the sheet's row numbers."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date, time
from pathlib import Path
from typing import Any

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from mozhu.engine.data.magic import is_xlsx
from mozhu.engine.data.rows import RawRow, RowProblem, reject
from mozhu.kernel.errors import DamagedDataFile
from mozhu.kernel.files import reading
from mozhu.specs.records.snapshot import RejectedRow

_FORMULA = "f"


class XlsxReader:
    """Every sheet is a table whose first row that is not empty names the columns; every cell is a string.

    Rows of a workbook with several sheets name their sheet: ``faq.xlsx[Sheet2]``.
    """

    def sniff(self, path: Path, head: bytes) -> bool:
        return is_xlsx(head)

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        """Raises DamagedDataFile: DATA-010."""
        with reading(path), _damage_named(path), ExitStack() as files:
            book = _open(path, files, values=False)
            for sheet in book.worksheets:
                file = path.name if len(book.worksheets) == 1 else f"{path.name}[{sheet.title}]"
                yield from _sheet_rows(path, file, sheet, files)


def _open(path: Path, files: ExitStack, *, values: bool) -> Any:
    """The workbook, streamed; by the open file, since by its name it would be judged by its ending."""
    file = files.enter_context(path.open("rb"))
    book = openpyxl.load_workbook(file, read_only=True, data_only=values)
    files.callback(book.close)
    return book


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (InvalidFileException, zipfile.BadZipFile, zlib.error, EOFError, SyntaxError, KeyError) as error:
        raise DamagedDataFile(path=str(path), reason=str(error)) from error


def _sheet_rows(path: Path, file: str, sheet: Any, files: ExitStack) -> Iterator[RawRow | RejectedRow]:
    sheet.reset_dimensions()  # what a file says about its size is often wrong
    header: list[str] | None = None
    results: _Results | None = None
    for line, cells in enumerate(sheet.iter_rows(), start=1):
        shown = [_shown(cell.value) for cell in cells]
        if not any(cell.strip() for cell in shown):
            continue
        if any(cell.data_type == _FORMULA for cell in cells):
            results = results or _Results(_open(path, files, values=True), sheet.title, line)
            shown = results.row(line)
        if header is None:
            header = [cell.strip() for cell in shown]
            repeated = [name for name in header if name and header.count(name) > 1]
            if repeated:
                yield reject(RawRow(file, line, "\t".join(shown)), RowProblem("DATA-113", repeated[0]))
                return
            continue
        yield _row(file, line, header, shown)


class _Results:
    """The results of a sheet's formulas as they were saved, row by row from ``first`` on."""

    def __init__(self, book: Any, sheet: str, first: int) -> None:
        found = book[sheet]
        found.reset_dimensions()
        self._rows = enumerate(found.iter_rows(min_row=first, values_only=True), start=first)

    def row(self, line: int) -> list[str]:
        return next([_shown(value) for value in values] for number, values in self._rows if number == line)


def _row(file: str, line: int, header: list[str], cells: list[str]) -> RawRow | RejectedRow:
    beyond = [cell for cell in cells[len(header) :] if cell.strip()]
    unnamed = [cell for name, cell in zip(header, cells) if not name and cell.strip()]
    if beyond or unnamed:
        source = "\t".join(cells)
        problem = RowProblem(
            "DATA-111", "", cells=len(header) + len(beyond), columns=sum(bool(name) for name in header)
        )
        return reject(RawRow(file, line, source), problem)
    return RawRow(file, line, {name: cell for name, cell in zip(header, cells) if name})


def _shown(value: Any) -> str:
    """A cell as text: 42, 1.5, TRUE, 2026-11-21."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value).replace("\r\n", "\n")
