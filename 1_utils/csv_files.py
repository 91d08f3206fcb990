"""Tables as CSV, in whatever encoding they come; ``file_io`` hands these on.

CSV 表格；从 `file_io` 导入 `read_csv`、`write_csv`。
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mozhu.engine.data.encodings import find_encoding
from mozhu.kernel.errors import BadTable, NotReadable
from mozhu.kernel.files import reading, write_text
from mozhu.kernel.texts import text

_LARGEST_CELL = (1 << 31) - 1


def read_csv(path: str | Path, encoding: str | None = None) -> list[dict[str, str]]:
    """One dictionary a row, by the header; quoted commas and line breaks are cells' own.

    Raises:
        MissingFile: FILE-001. BadTable: TOOLBOX-006 listing every row (by its last line) that does not fit.
    """
    csv.field_size_limit(_LARGEST_CELL)  # the library's own limit is 128 KiB
    reader = csv.reader(io.StringIO(decoded(path, encoding, newline=""), newline=""))
    header = next(reader, [])
    twice = sorted({name for name in header if header.count(name) > 1})
    problems = [text("toolbox.csv.twice", name=name) for name in twice]
    rows = []
    for cells in reader:
        if len(cells) == len(header):
            rows.append(dict(zip(header, cells, strict=True)))
        elif cells:
            problems.append(
                text("toolbox.csv.cells", line=reader.line_num, found=len(cells), wanted=len(header))
            )
    _raise_bad_table(path, problems)
    return rows


def write_csv(path: str | Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> int:
    """Write a table with a header in one step; returns the number of rows.

    UTF-8 with a mark, so that Excel shows Chinese.

    Raises:
        BadTable: TOOLBOX-006, a row has a column that the header (``columns``, else the first row) has not.
    """
    listed = list(rows)
    header = list(columns or (listed[0] if listed else ()))
    problems = [
        text("toolbox.csv.unknown", line=number, name=name)
        for number, row in enumerate(listed, start=2)
        for name in row
        if name not in header
    ]
    _raise_bad_table(path, problems)
    content = io.StringIO(newline="")
    writer = csv.DictWriter(content, header)
    writer.writeheader()
    writer.writerows(listed)
    write_text(path, "\ufeff" + content.getvalue())
    return len(listed)


def decoded(path: str | Path, encoding: str | None, newline: str | None) -> str:
    """The text of a file without its mark; without ``encoding`` it is found."""
    chosen = encoding or find_encoding(Path(path))
    try:
        with reading(path), open(path, encoding=chosen, newline=newline) as file:
            return file.read().removeprefix("\ufeff")
    except UnicodeError as error:
        raise NotReadable(path=str(path), reason=str(error)) from error


def _raise_bad_table(path: str | Path, problems: Sequence[str]) -> None:
    if problems:
        raise BadTable(path=str(path), count=len(problems), problems="\n  ".join(problems))
