"""Every format is told by its content and gives back what was written, also packed; damage is named."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data import json_readers
from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.readers import find_format, read_rows
from mozhu.engine.data.rows import RawRow
from mozhu.kernel.errors import BadJson, DamagedDataFile, MissingExtra, MozhuError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
openpyxl = pytest.importorskip("openpyxl")
zstandard = pytest.importorskip("zstandard")

ROWS = [{"question": "“绫”字怎么读？①𠮷", "answer": "líng\n第二行"}, {"question": "=1+1", "answer": "2"}]
NAMES = ["question", "answer"]


def values(path: Path) -> list[Any]:
    return [row.value if isinstance(row, RawRow) else row.code for row in read_rows(path)]


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)


def write_arrow_file(path: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)


def write_arrow_stream(path: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table)


def write_xlsx(path: Path, rows: list[dict[str, Any]]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append(list(row))
        for cell, content in zip(sheet[sheet.max_row], row.values()):
            cell.value, cell.data_type = content, "s"
    book.save(path)


def as_json(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, ensure_ascii=False, indent=1)


def as_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def as_table(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerows([list(rows[0]), *(list(row.values()) for row in rows)])
    return out.getvalue()


TEXTS = {
    "json": as_json,
    "jsonl": as_jsonl,
    "csv": as_table,
    "tsv": lambda rows: as_table(rows, "\t"),
    "semicolons": lambda rows: as_table(rows, ";"),
    "bars": lambda rows: as_table(rows, "|"),
}
BINARIES = {
    "parquet": write_parquet,
    "arrow": write_arrow_file,
    "stream": write_arrow_stream,
    "xlsx": write_xlsx,
}
PACKINGS = {
    "": bytes,
    "gz": gzip.compress,
    "zst": lambda content: zstandard.ZstdCompressor().compress(content),
}
ENCODINGS = ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"]


@pytest.mark.parametrize("name", BINARIES)
def test_binary_tables_are_told_by_their_content(tmp_path: Path, name: str) -> None:
    path = tmp_path / "rows.txt"
    BINARIES[name](tmp_path / "rows.xlsx", ROWS)
    (tmp_path / "rows.xlsx").rename(path)
    assert find_format(path) == {"stream": "arrow"}.get(name, name)
    assert values(path) == ROWS
    loaded = load_rows(str(path))
    assert (len(loaded.rows), loaded.sources[0].shape, loaded.sources[0].encoding) == (2, "prompt", "")


@pytest.mark.parametrize("packing", ["gz", "zst"])
@pytest.mark.parametrize("name", TEXTS)
def test_packed_text_files_are_read_like_plain_ones(tmp_path: Path, name: str, packing: str) -> None:
    path = tmp_path / f"rows.data.{packing}"
    path.write_bytes(PACKINGS[packing](TEXTS[name](ROWS).encode("gb18030")))
    assert values(path) == ROWS
    named = tmp_path / f"rows.jsonl.{packing}"
    named.write_bytes(PACKINGS[packing](as_jsonl(ROWS).encode()))
    assert load_rows(str(named)).rows[0]["row_id"] == "rows#1"


_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff") | st.just("\n"), max_size=30
)
# A first cell that no encoding can be mistaken for another by, as any real file has it.
_PLAIN = "春夏秋冬的问题与回答 "


@given(
    rows=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=8),
    form=st.sampled_from(sorted(TEXTS)),
    encoding=st.sampled_from(ENCODINGS),
    packing=st.sampled_from(sorted(PACKINGS)),
)
@settings(max_examples=150, deadline=None)
def test_text_rows_are_read_back_equal_in_every_format_encoding_and_packing(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str]],
    form: str,
    encoding: str,
    packing: str,
) -> None:
    written = [{"question": _PLAIN + first, "answer": second} for first, second in rows]
    path = tmp_path_factory.mktemp("any") / "rows.data"
    path.write_bytes(PACKINGS[packing](TEXTS[form](written).encode(encoding)))
    assert values(path) == written


_CELL = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"), max_size=30
)


@given(rows=st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=6), form=st.sampled_from(sorted(BINARIES)))
@settings(max_examples=60, deadline=None)
def test_binary_rows_are_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], form: str
) -> None:
    written = [{"question": "问" + first, "answer": second} for first, second in rows]
    path = tmp_path_factory.mktemp("any") / "rows.xlsx"
    BINARIES[form](path, written)
    assert values(path) == written


@given(
    rows=st.lists(
        st.dictionaries(st.text("ab"), st.text() | st.integers() | st.lists(st.floats(allow_nan=False)))
    ),
    chunk=st.integers(1, 40),
    indent=st.sampled_from([None, 2]),
)
@settings(max_examples=100, deadline=None)
def test_wherever_the_pieces_of_a_json_array_are_cut_its_rows_and_lines_stay(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], chunk: int, indent: int | None
) -> None:
    rows = [row for row in json.loads(json.dumps(rows)) if "\\ud" not in json.dumps(row)]
    path = tmp_path_factory.mktemp("cut") / "rows.json"
    path.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
    whole = list(read_rows(path, "json"))
    before = json_readers._CHUNK_CHARS
    json_readers._CHUNK_CHARS = chunk
    try:
        assert list(read_rows(path, "json")) == whole
        path.write_text(json.dumps(rows, indent=indent)[:-1] + "\n,x]", encoding="utf-8")
        with pytest.raises(BadJson) as caught:
            list(read_rows(path, "json"))
        expected = json.dumps(rows, indent=indent)[:-1].count("\n") + 2
        assert caught.value.params["line"] == expected
    finally:
        json_readers._CHUNK_CHARS = before
    assert [row.value for row in whole if isinstance(row, RawRow)] == rows


def test_nested_rows_of_tables_have_only_the_keys_that_have_values(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    turns = [
        {"role": "user", "content": "问"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "1"},
        {"role": "assistant", "content": "答"},
    ]
    write_parquet(tmp_path / "rows.parquet", [{"messages": turns}, {"messages": turns[:1] + turns[3:]}])
    rows = load_rows("rows.parquet").rows
    assert rows[1]["messages"] == [turns[0], turns[3]]
    assert rows[0]["messages"][1]["tool_calls"][0]["function"]["arguments"] == {"x": 1}


def test_sheets_are_all_read_and_cells_are_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "常见问题"
    for row in ([], ["问题", "答案"], ["几？", 42], ["多少？", 1.5], [None, None], ["对吗？", True]):
        sheet.append(row)
    more = book.create_sheet("更多")
    for row in (["问题", "答案"], ["三？", 3.0], ["四？", "好", "多余"]):
        more.append(row)
    book.save(tmp_path / "faq.xlsx")
    found = list(read_rows(tmp_path / "faq.xlsx"))
    assert [(row.file, row.line) for row in found] == [
        ("faq.xlsx[常见问题]", 3),
        ("faq.xlsx[常见问题]", 4),
        ("faq.xlsx[常见问题]", 6),
        ("faq.xlsx[更多]", 2),
        ("faq.xlsx[更多]", 3),
    ]
    assert values(tmp_path / "faq.xlsx")[:4] == [
        {"问题": "几？", "答案": "42"},
        {"问题": "多少？", "答案": "1.5"},
        {"问题": "对吗？", "答案": "TRUE"},
        {"问题": "三？", "答案": "3"},
    ]
    loaded = load_rows("faq.xlsx")
    assert loaded.rows[3]["source"]["file"] == "faq.xlsx[更多]"
    assert [(row.file, row.code) for row in loaded.rejected] == [("faq.xlsx[更多]", "DATA-111")]


def test_a_formula_is_read_as_the_result_that_was_saved(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (
        ["问题", "答案"],
        ["一加一？", "2"],
        ["二加二？", "=2+2"],
        ["三加三？", "=3+3"],
        ["完？", "完"],
    ):
        book.active.append(row)
    book.save(tmp_path / "plain.xlsx")
    with zipfile.ZipFile(tmp_path / "plain.xlsx") as old, zipfile.ZipFile(tmp_path / "f.xlsx", "w") as new:
        for item in old.infolist():
            content = old.read(item)
            for number in (2, 3):  # what Excel saves: the formula with its result
                formula = f"<f>{number}+{number}</f>".encode()
                content = content.replace(formula + b"<v/>", formula + f"<v>{2 * number}</v>".encode())
                content = content.replace(formula + b"<v></v>", formula + f"<v>{2 * number}</v>".encode())
            new.writestr(item, content)
    assert [row["答案"] for row in values(tmp_path / "f.xlsx")] == ["2", "4", "6", "完"]


@pytest.mark.parametrize(
    "name", ["rows.jsonl.gz", "rows.jsonl.zst", "rows.parquet", "rows.arrow", "rows.xlsx"]
)
@pytest.mark.parametrize("cut", [0.5, 0.9])
def test_a_file_that_ends_too_early_is_named(tmp_path: Path, name: str, cut: float) -> None:
    path = tmp_path / name
    rows = [{"question": f"问{n} {n * 7919 % 1000003}", "answer": f"答{n}"} for n in range(3000)]
    if name.endswith((".gz", ".zst")):
        path.write_bytes(PACKINGS[path.suffix[1:]](as_jsonl(rows).encode()))
    else:
        BINARIES[path.suffix[1:]](path, rows)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(DamagedDataFile) as caught:
        values(path)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "module", "reader"),
    [
        ("rows.parquet", "pyarrow", "arrow_readers"),
        ("rows.xlsx", "openpyxl", "xlsx_reader"),
        ("rows.jsonl.zst", "zstandard", "packed_zstd"),
    ],
)
def test_without_its_library_the_command_to_install_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, reader: str
) -> None:
    path = tmp_path / name
    if name.endswith(".zst"):
        path.write_bytes(PACKINGS["zst"](as_jsonl(ROWS).encode()))
    else:
        BINARIES[path.suffix[1:]](path, ROWS)
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, f"mozhu.engine.data.{reader}", raising=False)
    with pytest.raises(MissingExtra) as caught:
        values(path)
    assert 'pip install "mozhu[data]"' in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"\x1f\x8b", b"PK\x03\x04", b"PAR1", b"ARROW1", b"\x28\xb5\x2f\xfd"]
)
def test_a_few_bytes_of_a_format_are_no_crash(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.data"
    path.write_bytes(content)
    with suppress(MozhuError):
        values(path)
