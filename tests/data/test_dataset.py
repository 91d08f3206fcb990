"""What a person writes for data is found, read and accounted for row by row."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.prepare import run_prepare
from mozhu.kernel.errors import (
    ChangedSnapshot,
    MissingFile,
    NoUsableRows,
    OfflineHub,
    UnknownDataset,
    UnknownRowShape,
)
from mozhu.kernel.files import sha256_file
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.snapshot import PreparedRow, RejectedRow

PAIRS = [{"instruction": f"问题{n}", "input": "", "output": f"回答{n}"} for n in range(4)]


def test_every_row_is_either_kept_or_rejected_with_its_line(write: Any) -> None:
    path = write(
        "raw.json",
        '[\n{"instruction": "问", "output": "答"},\n{"instruction": "问"},\n\n'
        '{"instruction": "问",\n "output": 7},\n"散句",\n{"instruction": "问", "output": "答二"}\n]',
    )
    loaded = load_rows(str(path))
    assert [row["source"]["line"] for row in loaded.rows] == [2, 8]
    assert [(row.line, row.field, row.code) for row in loaded.rejected] == [
        (3, "output", "DATA-103"),
        (5, "output", "DATA-104"),
        (7, "", "DATA-102"),
    ]
    assert loaded.total == 5
    assert [row["row_id"] for row in loaded.rows] == ["raw#1", "raw#5"]
    for row in loaded.rows:
        PreparedRow.model_validate(row)
        assert row["source"]["sha256"] == sha256_file(path)
    for bad in loaded.rejected:
        RejectedRow.model_validate(bad.model_dump())
        assert bad.file == "raw.json" and bad.excerpt and bad.fix and "{" not in bad.fix.replace('{"', "")


def test_the_seeds_own_formats_are_read_without_preparation(write: Any) -> None:
    text = [{"text": "这是第一个训练样本的完整文本内容。"}, {"text": "这是第二个训练样本的完整文本内容。"}]
    assert [row["text"] for row in load_rows(str(write("a.json", text))).rows] == [
        row["text"] for row in text
    ]
    table = 'text\n"这是第一个训练样本。模型应该学习这种格式和内容。"\n'
    table += '"这是第二个训练样本。可以包含多行文本内容。"\n'
    for encoding in ("utf-8-sig", "gbk"):
        assert len(load_rows(str(write("b.csv", table, encoding))).rows) == 2
    chat = [
        {
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "q"},
                {"role": "assistant", "content": "a"},
            ]
        }
    ]
    assert load_rows(str(write("c.json", chat))).rows[0]["messages"] == chat[0]["messages"]
    other = load_rows(str(write("d.csv", "content,label\n全文,1\n")), text_column="content")
    assert other.rows[0]["text"] == "全文"


def test_a_name_is_found_under_data_and_in_the_settings(write: Any) -> None:
    write("data/medical_qa.json", PAIRS)
    write("elsewhere/rows.jsonl", "\n".join(json.dumps(pair) for pair in PAIRS))
    write(
        "0_configs/1_model_config.json",
        {"$schema": "x", "comment": "…", "datasets": {"owner/faq": {"path": "elsewhere/rows.jsonl"}}},
    )
    assert len(load_rows("medical_qa").rows) == 4
    named = load_rows("owner/faq")
    assert named.rows[0]["row_id"] == "owner/faq#1"
    os.chdir("elsewhere")
    assert len(load_rows("medical_qa").rows) == 4  # the workspace's, from a folder inside it
    assert len(load_rows("owner/faq").rows) == 4


def test_what_is_not_there_is_named_with_what_is_near(write: Any) -> None:
    write("data/medical_qa.json", PAIRS)
    with pytest.raises(UnknownDataset) as caught:
        load_rows("medical_qq")
    assert caught.value.params["near"] == ["medical_qa"]
    assert "medical_qa" in str(caught.value)
    with pytest.raises(UnknownDataset) as beside:
        load_rows("data/medical_q")
    assert "data/medical_qa.json" in str(beside.value)
    with pytest.raises(MissingFile):
        load_rows("data/absent.jsonl")
    with pytest.raises(OfflineHub):
        load_rows("dataset_owner/dataset_name")


def test_unknown_fields_are_listed(write: Any) -> None:
    with pytest.raises(UnknownRowShape) as caught:
        load_rows(str(write("rows.json", [{"foo": 1, "bar": 2}])))
    assert caught.value.params["fields"] == ["foo", "bar"]
    assert "`foo`, `bar`" in str(caught.value)


def test_when_no_row_can_be_used_the_reasons_are_counted(write: Any) -> None:
    rows = [{"instruction": "问", "output": ""}] * 3 + [{"instruction": "问"}]
    with pytest.raises(NoUsableRows) as caught:
        load_rows(str(write("rows.json", rows)))
    assert "3 × [DATA-105]" in str(caught.value) and "1 × [DATA-103]" in str(caught.value)
    with pytest.raises(NoUsableRows):
        load_rows(str(write("empty.jsonl", "")))


def test_prepared_rows_keep_their_id_and_first_source_and_their_text_gives_way(write: Any) -> None:
    row = {
        "row_id": "faq:v2#7",
        "messages": [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}],
        "text": "<s>…</s>",
        "source": {"file": "raw.json", "line": 812, "sha256": "sha256:" + "0" * 64},
    }
    loaded = load_rows(str(write("train.jsonl", json.dumps(row) + "\n" + json.dumps(row))))
    assert loaded.rows[0]["row_id"] == "faq:v2#7"
    assert loaded.rows[0]["source"] == row["source"]
    assert "text" not in loaded.rows[0]
    assert loaded.rows[1]["row_id"] == "train#2"  # ids stay unique


def test_of_a_folder_all_data_files_are_read_and_records_left_alone(write: Any) -> None:
    write("data/faq/rows.jsonl", "\n".join(json.dumps(pair) for pair in PAIRS))
    write("data/faq/spec.json", {})
    assert len(load_rows("faq").rows) == 4
    write("data/faq/more/part.csv", "question,answer\n问,答\n")
    loaded = load_rows("faq")
    assert [row["source"]["file"] for row in loaded.rows] == ["more/part.csv", *["rows.jsonl"] * 4]
    assert [row["row_id"] for row in loaded.rows] == [f"faq#{n}" for n in range(1, 6)]
    write("data/faq/odd.jsonl", "{}")
    with pytest.raises(UnknownRowShape) as caught:
        load_rows("faq")
    assert "odd.jsonl" in str(caught.value)


def test_rejected_rows_can_be_told_in_one_finding(write: Any) -> None:
    finding = load_rows(str(write("rows.json", [*PAIRS, {"instruction": "问"}]))).finding()
    assert finding and finding["code"] == "DATA-133" and "line 22" in finding["params"]["reasons"]
    assert load_rows("sample").finding() is None


def test_equal_content_has_an_equal_hash_whatever_the_file(write: Any) -> None:
    first = load_rows(str(write("a.json", PAIRS)))
    second = load_rows(str(write("b.jsonl", "\n".join(json.dumps(pair) for pair in PAIRS))))
    assert first.sha256 == second.sha256
    assert first.sha256 != load_rows(str(write("c.json", PAIRS[:3]))).sha256


def test_a_changed_part_of_a_snapshot_is_refused(own_folder: Path, write: Any, events: Any) -> None:
    run_prepare(PrepareSpec(input="sample", output_dir="out", output_name="faq"), own_folder, events)
    assert len(load_rows("out").rows) == 8
    assert len(load_rows("out", part="validation").rows) == 1
    with open("out/faq_train.jsonl", "a", encoding="utf-8") as file:
        file.write("\n")
    with pytest.raises(ChangedSnapshot):
        load_rows("out")
    assert len(load_rows("out/faq_train.jsonl").rows) == 8


def _shared() -> Path:
    named = os.environ.get("MOZHU_SHARED_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.skipif(not (_shared() / "alpaca_zh_demo.json").is_file(), reason="real data is not here")
@pytest.mark.parametrize(
    ("name", "rows", "shape"),
    [
        ("alpaca_zh_demo", 1000, "alpaca"),
        ("identity", 91, "alpaca"),
        ("glaive_toolcall_zh_demo", 300, "sharegpt"),
        ("dpo_zh_demo", 300, "preference"),
        ("mllm_demo", 6, "messages"),
    ],
)
def test_real_data_is_read_without_loss(name: str, rows: int, shape: str) -> None:
    path = _shared() / f"{name}.json"
    loaded = load_rows(str(path), stage=None)
    assert (len(loaded.rows), len(loaded.rejected), loaded.sources[0].shape) == (rows, 0, shape)
    raw = json.loads(path.read_text(encoding="utf-8"))
    lines = path.read_text(encoding="utf-8").split("\n")
    for row, value in zip(loaded.rows, raw, strict=True):
        assert lines[row["source"]["line"] - 1].strip() == "{"
        if shape == "alpaca":
            assert row["messages"][-1]["content"] == value["output"]
        if shape == "preference":
            assert row["chosen"] == [{"role": "assistant", "content": value["chosen"]["value"]}]
            assert row["rejected"][0]["content"] == value["rejected"]["value"]
        assert all(Path(image).is_file() for image in row.get("images", []))
    by_entry = load_rows(f"{_shared()}:{name}", stage=None)
    assert by_entry.sha256 == loaded.sha256
