"""Files: what goes in comes out, nothing is half-written, no row is lost."""

from __future__ import annotations

import json

import file_io
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mozhu.kernel.errors import BadJson, BadTable, BadToolArgument, MissingFile, NotReadable, TargetExists

CELLS = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00\ufeff"), max_size=20)
ROWS = st.lists(st.fixed_dictionaries({"问题": CELLS, "b": CELLS}), min_size=1, max_size=5)


def test_jsonl_keeps_every_row_also_a_last_one_without_newline(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n\n{"a": 2}', encoding="utf-8")
    assert list(file_io.read_jsonl(path)) == [{"a": 1}, {"a": 2}]
    file_io.append_jsonl(path, {"a": "三"})
    assert list(file_io.read_jsonl(path)) == [{"a": 1}, {"a": 2}, {"a": "三"}]
    file_io.append_jsonl(tmp_path / "new" / "rows.jsonl", {"at": tmp_path})
    assert list(file_io.read_jsonl(tmp_path / "new" / "rows.jsonl")) == [{"at": str(tmp_path)}]


def test_a_broken_jsonl_line_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{"a": \n', encoding="utf-8")
    with pytest.raises(BadJson, match="line 2"):
        list(file_io.read_jsonl(path))


def test_a_damaged_byte_in_jsonl_is_named_not_swallowed(tmp_path):
    path = tmp_path / "rows.jsonl"
    good = (json.dumps({"a": "问答" * 50}, ensure_ascii=False) + "\n").encode()
    path.write_bytes(good + b'{"a": "\xff"}\n' + good)
    rows = file_io.read_jsonl(path)
    next(rows)
    with pytest.raises(BadJson, match="line 2"):
        next(rows)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_chinese_is_read_in_every_common_encoding(tmp_path, encoding):
    rows = "问题,回答\n什么是模铸？,把问答数据变成模型。\n"
    (tmp_path / "t.csv").write_bytes(rows.encode(encoding))
    assert file_io.read_text(tmp_path / "t.csv") == rows
    assert file_io.read_csv(tmp_path / "t.csv") == [{"问题": "什么是模铸？", "回答": "把问答数据变成模型。"}]
    (tmp_path / "t.jsonl").write_bytes('{"问题": "什么是模铸？"}\n'.encode(encoding))
    assert list(file_io.read_jsonl(tmp_path / "t.jsonl")) == [{"问题": "什么是模铸？"}]


def test_a_wrong_encoding_is_an_error_not_wrong_text(tmp_path):
    (tmp_path / "t.txt").write_bytes("问题".encode("gb18030"))
    with pytest.raises(NotReadable):
        file_io.read_text(tmp_path / "t.txt", "utf-8")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS)
def test_a_table_comes_back_as_it_was(tmp_path, rows):
    path = tmp_path / "t.csv"
    assert file_io.write_csv(path, rows) == len(rows)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert file_io.read_csv(path, "utf-8-sig") == rows


def test_a_table_with_wrong_rows_lists_all_of_them(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b,b\n1,2,3\n1,2\n\n1,2,3,4\n")
    with pytest.raises(BadTable) as caught:
        file_io.read_csv(path)
    assert caught.value.params["count"] == 3
    assert "line 3: 2 cells" in caught.value.what and "line 5: 4 cells" in caught.value.what
    assert "`b` stands more than once" in caught.value.what


def test_a_very_long_answer_is_one_cell(tmp_path):
    file_io.write_csv(tmp_path / "t.csv", [{"a": "长" * 200_000}])
    assert len(file_io.read_csv(tmp_path / "t.csv")[0]["a"]) == 200_000


def test_a_row_with_an_unknown_column_leaves_the_old_table(tmp_path):
    path = tmp_path / "t.csv"
    file_io.write_csv(path, [{"a": 1}])
    before = path.read_bytes()
    with pytest.raises(BadTable, match="line 3"):
        file_io.write_csv(path, [{"a": 1}, {"a": 2, "c": 3}])
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "v.json"
    file_io.write_json(path, {"old": True})
    with pytest.raises(TypeError):
        file_io.write_json(path, {"new": object()})
    with pytest.raises(TypeError):
        file_io.write_jsonl(path, [{"ok": 1}, {"new": object()}])
    assert file_io.read_json(path) == {"old": True} and len(list(tmp_path.iterdir())) == 1


def test_a_copy_has_the_hash_of_its_source(tmp_path):
    source, target = tmp_path / "a.bin", tmp_path / "deep" / "b.bin"
    source.write_bytes(bytes(range(256)) * 9000)
    shared = file_io.safe_copy(source, target)
    assert shared == file_io.sha256_file(source) == file_io.sha256_file(target)
    with pytest.raises(TargetExists):
        file_io.safe_copy(source, target)
    source.write_bytes(b"new")
    file_io.safe_copy(source, target, overwrite=True)
    assert target.read_bytes() == b"new" and list(target.parent.iterdir()) == [target]


def test_a_copy_onto_itself_or_of_nothing_changes_nothing(tmp_path):
    source = tmp_path / "a.bin"
    source.write_bytes(b"content")
    with pytest.raises(BadToolArgument):
        file_io.safe_copy(source, source, overwrite=True)
    with pytest.raises(MissingFile):
        file_io.safe_copy(tmp_path / "none", tmp_path / "b.bin")
    assert source.read_bytes() == b"content" and list(tmp_path.iterdir()) == [source]


def test_sizes_are_for_people():
    assert file_io.human_size(15.2 * 1024**3) == "15.2GB"
