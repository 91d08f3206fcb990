"""Rows are read with their lines, whatever the format and the encoding; what cannot be read is reported."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data.json_readers import JsonReader
from mozhu.engine.data.readers import find_format, read_rows
from mozhu.engine.data.rows import RawRow
from mozhu.engine.data.table_reader import CsvReader
from mozhu.kernel.errors import BadJson, MissingFile, UnknownFileFormat
from mozhu.specs.records.snapshot import RejectedRow


def read(path: Path, input_format: str = "auto") -> list[tuple[int, Any]]:
    """Lines with values; a rejected row is shown by its code."""
    return [
        (row.line, row.value if isinstance(row, RawRow) else row.code)
        for row in read_rows(path, input_format)
    ]


def test_each_element_of_a_json_array_has_the_line_on_which_it_begins(write: Any) -> None:
    content = '\n[ {"a": 1}, {"a":\n 2},\n\n  {\n "a": "x\\ny"\n},\n  5\n]\n'
    assert read(write("rows.json", content)) == [(2, {"a": 1}), (2, {"a": 2}), (5, {"a": "x\ny"}), (8, 5)]


@given(
    rows=st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\n"), inner),
            max_leaves=5,
        )
    ),
    indent=st.sampled_from([None, 0, 2]),
)
@settings(max_examples=60, deadline=None)
def test_a_json_array_gives_back_exactly_its_elements(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("array") / "rows.json"
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=indent), encoding="utf-8", newline="")
    assert [row.value for row in JsonReader().rows(path) if isinstance(row, RawRow)] == rows


@pytest.mark.parametrize(
    ("content", "line", "column"),
    [
        ('[\n {"a": 1}\n {"a": 2}\n]', 3, 2),
        ('[\n {"a": 1},\n {"a": \n', 4, 1),
        ('[\n {"a": 1}\n]\nmore', 4, 1),
        ("hello", 1, 1),
    ],
)
def test_a_broken_array_is_an_error_with_line_and_column(
    write: Any, content: str, line: int, column: int
) -> None:
    with pytest.raises(BadJson) as caught:
        read(write("rows.json", content))
    assert (caught.value.params["line"], caught.value.params["column"]) == (line, column)


def test_bad_json_lines_are_rejected_one_by_one_and_the_rest_is_read(write: Any) -> None:
    path = write("rows.jsonl", '{"a": 1\n\n{"a": 2}\nnonsense\n{"a": 3},\n{"a": 4}')
    assert read(path) == [
        (1, "DATA-101"),
        (3, {"a": 2}),
        (4, "DATA-101"),
        (5, "DATA-101"),
        (6, {"a": 4}),
    ]


def test_json_lines_are_recognised_under_any_name(write: Any) -> None:
    content = '{"a": 1}\n{"a": 2}\n'
    for name in ("rows.json", "rows.txt", "rows"):
        assert find_format(write(name, content)) == "jsonl"


def test_one_object_over_many_lines_is_one_row(write: Any) -> None:
    assert read(write("row.json", '\n{\n  "a": {\n    "b": 1\n  }\n}\n')) == [(2, {"a": {"b": 1}})]


CSV = 'text,note\n"一,二","第一行\n第二行"\n\n"说""你好""",b\n三,c\n'
CSV_ROWS = [
    (2, {"text": "一,二", "note": "第一行\n第二行"}),
    (5, {"text": '说"你好"', "note": "b"}),
    (6, {"text": "三", "note": "c"}),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
def test_csv_with_commas_quotes_and_line_breaks_in_any_encoding(write: Any, encoding: str) -> None:
    assert read(write("rows.csv", CSV, encoding)) == CSV_ROWS


@pytest.mark.parametrize("ends", ["\r\n", "\r"])
def test_csv_with_other_line_ends_reads_the_same(write: Any, ends: str) -> None:
    assert read(write("rows.csv", CSV.replace("\n", ends))) == CSV_ROWS


@pytest.mark.parametrize(("name", "delimiter"), [("rows.tsv", "\t"), ("rows.csv", ";"), ("table", "\t")])
def test_tables_with_other_delimiters(write: Any, name: str, delimiter: str) -> None:
    content = f"question{delimiter}answer\n甲{delimiter}乙，丙\n丁{delimiter}戊\n"
    expected = [(2, {"question": "甲", "answer": "乙，丙"}), (3, {"question": "丁", "answer": "戊"})]
    assert read(write(name, content)) == expected


def test_a_quote_that_is_never_closed_costs_its_own_row_only(write: Any) -> None:
    path = write("rows.csv", 'a,b\n1,2\n"3,4\n5,6\n"7","x""y"\n')
    assert read(path) == [
        (2, {"a": "1", "b": "2"}),
        (3, "DATA-112"),
        (4, {"a": "5", "b": "6"}),
        (5, {"a": "7", "b": 'x"y'}),
    ]


def test_too_many_cells_and_repeated_columns_are_reported(write: Any) -> None:
    assert read(write("wide.csv", "text\n有,逗号\n好\n")) == [(2, "DATA-111"), (3, {"text": "好"})]
    assert read(write("twice.csv", "text,text\n1,2\n")) == [(1, "DATA-113")]


@given(
    rows=st.lists(
        st.tuples(
            *[st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\ufeff"))] * 2
        ),
        max_size=6,
    )
)
@settings(max_examples=80, deadline=None)
def test_what_the_csv_module_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("question", "answer"), *rows])
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    path.write_bytes(buffer.getvalue().encode())
    kept = [row for row in rows if any(cell.strip() for cell in row)]
    found = list(CsvReader().rows(path))
    assert [tuple(row.value.values()) for row in found if isinstance(row, RawRow)] == kept
    lines = buffer.getvalue().split("\n")
    for row in found:  # the line named is the line on which the row's first cell begins
        assert lines[row.line - 1].startswith('"' + row.value["question"].split("\n")[0].replace('"', '""'))


def test_plain_text_is_one_row_a_paragraph(write: Any) -> None:
    path = write("book.txt", "\n第一段\n还是第一段\n\n \n[注] 第二段\n")
    assert read(path) == [(2, "第一段\n还是第一段"), (6, "[注] 第二段")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl"])
def test_json_in_any_encoding(write: Any, encoding: str, name: str) -> None:
    row = {"question": "“绫”字怎么读？①𠮷", "answer": "líng"}
    content = json.dumps(row, ensure_ascii=False)
    path = write(name, f"[\n{content}]" if name == "rows.json" else content + "\n", encoding)
    assert [value for _, value in read(path)] == [row]


def test_one_damaged_byte_in_utf8_costs_one_row_and_not_the_characters_of_the_others(write: Any) -> None:
    lines = [json.dumps({"text": f"春夏秋冬之第{n}行"}, ensure_ascii=False).encode() for n in range(20)]
    lines[6] = lines[6][:12] + b"\xff" + lines[6][13:]
    found = read(write("rows.jsonl", b"\n".join(lines)))
    assert found[6] == (7, "DATA-114")
    assert found[5][1] == {"text": "春夏秋冬之第5行"}
    assert sum(value == "DATA-114" for _, value in found) == 1


def test_half_a_character_in_an_escape_is_rejected(write: Any) -> None:
    path = write("rows.jsonl", '{"text": "\\ud83d"}\n{"text": "\\ud83d\\ude00"}\n')
    assert read(path) == [(1, "DATA-114"), (2, {"text": "😀"})]
    rejected = next(row for row in read_rows(path) if isinstance(row, RejectedRow))
    assert rejected.field == "text"
    json.dumps(rejected.model_dump()).encode("utf-8")


def test_a_file_that_is_no_text_is_refused(write: Any) -> None:
    with pytest.raises(UnknownFileFormat):
        read(write("rows.bin", bytes(range(256)) * 8))
    with pytest.raises(MissingFile):
        read(Path("absent.json"))


def test_excerpts_are_short_and_on_one_line(write: Any) -> None:
    rows = list(read_rows(write("rows.jsonl", '{"a": "' + "很长" * 200 + "\n")))
    assert isinstance(rows[0], RejectedRow)
    assert len(rows[0].excerpt) <= 80
    assert rows[0].fix
