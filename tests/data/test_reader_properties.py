"""Whatever is written in a known format comes back equal, with its lines; no damage loses a row in silence."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mozhu.engine.data.readers import read_rows
from mozhu.engine.data.rows import RawRow
from mozhu.kernel.errors import MozhuError
from mozhu.specs.records.snapshot import RejectedRow

ENCODINGS = ("utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be")
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
# Everything that may stand in a file's text: no half characters, and no mark of an encoding inside.
CHARS = st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff\x00")
AWKWARD = st.sampled_from(
    [
        "",
        " ",
        "\n",
        "\r\n",
        '"',
        '""',
        ",",
        "\t",
        ";",
        "a\nb",
        "“引号”",
        "𠮷①😀",
        "\\",
        "\u2028",
        "\x85",
        "x" * 5000,
    ]
)
TEXTS = st.text(CHARS, max_size=20) | AWKWARD
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(
    st.dictionaries(st.sampled_from(["question", "answer", "更多"]), VALUES, min_size=1),
    min_size=1,
    max_size=6,
)


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """A file of this name with these bytes, in a folder of its own each time."""
    count = iter(range(10**6))

    def write(name: str, content: bytes) -> Path:
        folder = tmp_path / str(next(count))
        folder.mkdir()
        (folder / name).write_bytes(content)
        return folder / name

    return write


def rows_of(path: Path) -> list[tuple[int, Any]]:
    return [(row.line, row.value if isinstance(row, RawRow) else row.code) for row in read_rows(path)]


def packed(content: bytes, name: str, packing: str) -> tuple[str, bytes]:
    if packing == "gz":
        return f"{name}.gz", gzip.compress(content)
    if packing == "zst":
        return f"{name}.zst", pytest.importorskip("zstandard").ZstdCompressor(write_checksum=True).compress(
            content
        )
    return name, content


@given(
    rows=ROWS,
    encoding=st.sampled_from(ENCODINGS),
    packing=st.sampled_from(["", "gz", "zst"]),
    ends=st.sampled_from(["\n", "\r\n"]),
    ascii_only=st.booleans(),
    blank=st.booleans(),
)
@QUICK
def test_json_lines_come_back_with_their_lines(
    place: Any, rows: list[Any], encoding: str, packing: str, ends: str, ascii_only: bool, blank: bool
) -> None:
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in rows]
    content = (ends * (2 if blank else 1)).join(lines) + ends
    path = place(*packed(content.encode(encoding), "rows.jsonl", packing))
    assert rows_of(path) == [(n * (2 if blank else 1) + 1, row) for n, row in enumerate(rows)]


@given(
    rows=ROWS,
    encoding=st.sampled_from(ENCODINGS),
    packing=st.sampled_from(["", "gz", "zst"]),
    indent=st.sampled_from([None, 0, 2]),
    ends=st.sampled_from(["\n", "\r\n"]),
)
@QUICK
def test_an_array_comes_back_with_its_lines(
    place: Any, rows: list[Any], encoding: str, packing: str, indent: int | None, ends: str
) -> None:
    pieces = [json.dumps(row, ensure_ascii=False, indent=indent) for row in rows]
    content = "[\n" + ",\n".join(pieces) + "\n]"
    lines, line = [], 2
    for piece in pieces:
        lines.append(line)
        line += piece.count("\n") + 1
    path = place(*packed(content.replace("\n", ends).encode(encoding), "rows.json", packing))
    assert rows_of(path) == list(zip(lines, rows))


def as_table(rows: Sequence[Sequence[str]], delimiter: str, ends: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator=ends, quoting=csv.QUOTE_ALL).writerows(rows)
    return out.getvalue()


@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=8),
    encoding=st.sampled_from(ENCODINGS),
    packing=st.sampled_from(["", "gz", "zst"]),
    delimiter=st.sampled_from([",", "\t", ";", "|"]),
    ends=st.sampled_from(["\n", "\r\n"]),
)
@QUICK
def test_tables_come_back_with_their_lines(
    place: Any, rows: list[tuple[str, ...]], encoding: str, packing: str, delimiter: str, ends: str
) -> None:
    header = ("question", "answer", "note")
    name = "rows.tsv" if delimiter == "\t" else "rows.csv"
    path = place(*packed(as_table([header, *rows], delimiter, ends).encode(encoding), name, packing))
    expected, line = [], 2
    for row in rows:
        plain = [cell.replace("\r\n", "\n").replace("\r", "\n") for cell in row]
        if any(cell.strip() for cell in row):
            expected.append((line, dict(zip(header, plain))))
        line += sum(cell.count("\n") for cell in plain) + 1
    assert rows_of(path) == expected


@given(
    rows=st.lists(
        st.fixed_dictionaries({"question": TEXTS, "answer": TEXTS | st.none()}), min_size=1, max_size=6
    )
)
@QUICK
def test_parquet_and_arrow_come_back(place: Any, rows: list[dict[str, Any]]) -> None:
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    table = pa.Table.from_pylist(rows, schema=pa.schema([("question", pa.string()), ("answer", pa.string())]))
    expected = [(n, row) for n, row in enumerate(rows, start=1)]
    path = place("rows.parquet", b"")
    pq.write_table(table, path)
    assert rows_of(path) == expected
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)
    assert rows_of(place("rows.arrow", out.getvalue().to_pybytes())) == expected


CELLS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"), max_size=15
)


@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
@settings(QUICK, max_examples=25)
def test_workbooks_come_back(place: Any, rows: list[tuple[str, str]]) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["question", "answer"])
    for row in rows:
        book.active.append([None, None])
        for number, cell in enumerate(row, start=1):
            place_of = book.active.cell(
                book.active.max_row if number > 1 else book.active.max_row + 1, number
            )
            place_of.value, place_of.data_type = cell, "s"
    out = io.BytesIO()
    book.save(out)
    found = [value for _, value in rows_of(place("rows.xlsx", out.getvalue()))]
    kept = [dict(zip(("question", "answer"), row)) for row in rows if any(cell.strip() for cell in row)]
    assert found == kept


# ------------------------------------------------------------------------------------------------ damage
def read_to_the_end(path: Path) -> tuple[list[Any], int, MozhuError | None]:
    """Values read, how many rows were rejected, and the error that ended it. Anything else is a crash."""
    values, rejected = [], 0
    try:
        for row in read_rows(path):
            if isinstance(row, RejectedRow):
                rejected += 1
            else:
                values.append(row.value)
    except MozhuError as error:
        assert error.what and error.next
        return values, rejected, error
    return values, rejected, None


def some_rows(count: int) -> list[dict[str, str]]:
    return [{"question": f"第 {n} 问是什么？", "answer": f"这是第 {n} 个回答，不长。"} for n in range(count)]


def as_bytes(form: str, rows: list[dict[str, str]]) -> tuple[str, bytes]:
    if form == "parquet":
        pa = pytest.importorskip("pyarrow")
        out = pa.BufferOutputStream()
        pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(rows), out)
        return "rows.parquet", out.getvalue().to_pybytes()
    if form == "xlsx":
        book = pytest.importorskip("openpyxl").Workbook()
        for row in [["question", "answer"], *(list(row.values()) for row in rows)]:
            book.active.append(row)
        buffer = io.BytesIO()
        book.save(buffer)
        return "rows.xlsx", buffer.getvalue()
    if form.startswith("csv"):
        content = as_table([("question", "answer"), *(tuple(row.values()) for row in rows)], ",", "\n")
    elif form.startswith("jsonl"):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        content = json.dumps(rows, ensure_ascii=False, indent=1)
    name, _, packing = form.partition(".")
    return packed(content.encode(), f"rows.{name}", packing)


FORMS = ("jsonl", "json", "csv", "jsonl.gz", "json.gz", "csv.gz", "jsonl.zst", "parquet", "xlsx")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_cut_anywhere_gives_the_rows_before_the_cut_and_says_so(place: Any, form: str) -> None:
    rows = some_rows(40)
    name, whole = as_bytes(form, rows)
    chance = random.Random(form)
    for cut in sorted({1, 2, 3, *(chance.randrange(4, len(whole) - 1) for _ in range(25))}):
        path = place(name, whole[:cut])
        values, rejected, error = read_to_the_end(path)
        full = [value for value in values if value in rows]
        assert full == rows[: len(full)], cut
        assert len(values) - len(full) <= 1, cut  # a table's last cell may end early and still be a cell
        if form in {"jsonl", "csv"} and error is None:
            begun = whole[:cut].rstrip(b"\n").count(b"\n") + (form == "jsonl")
            assert begun <= len(values) + rejected <= max(1, begun), cut  # a header may be cut too
        else:
            assert error is not None or rejected or len(full) == len(rows), cut


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_byte_never_crashes_and_loses_no_row_in_silence(place: Any, form: str) -> None:
    rows = some_rows(40)
    name, whole = as_bytes(form, rows)
    chance = random.Random(form)
    for _ in range(40):
        at, bit = chance.randrange(len(whole)), 1 << chance.randrange(8)
        damaged = whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :]
        values, rejected, error = read_to_the_end(place(name, damaged))
        if error is None and form in {"jsonl", "csv"}:
            lost = len(rows) - len(values) - rejected
            assert lost <= 1, (at, bit)  # a line end that is gone joins two lines
            assert sum(value not in rows for value in values) + rejected >= lost, (at, bit)
        elif error is None:
            assert len(values) + rejected >= len(rows) - 1, (at, bit)


@given(
    content=st.binary(max_size=300),
    name=st.sampled_from(["a.json", "a.jsonl", "a.csv", "a.txt", "a", "a.gz", "a.xlsx", "a.parquet"]),
)
@settings(QUICK, max_examples=200)
def test_any_bytes_under_any_name_are_read_or_refused(place: Any, content: bytes, name: str) -> None:
    read_to_the_end(place(name, content))


@pytest.mark.parametrize(
    ("content", "codes"),
    [
        ('{"a": 1e400}\n{"a": ' + "9" * 5000 + "}\n", ["DATA-101"]),
        ('{"a": "\\u0000"}\n{"a": "x\\ud800"}\n', ["DATA-114"]),
        ('{"a": 1}\n{"a": ' + "[" * 100_000 + "\n", ["DATA-101"]),
        ('{"a": 1}\n{"a": 2}{"a": 3}\n', ["DATA-101"]),
    ],
)
def test_extreme_values_are_read_or_rejected(place: Any, content: str, codes: list[str]) -> None:
    found = rows_of(place("rows.jsonl", content.encode()))
    assert [value for _, value in found if isinstance(value, str) and value.startswith("DATA-")] == codes
