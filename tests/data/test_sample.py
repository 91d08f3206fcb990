"""The ten sample rows of seed 003."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.sample import run_sample, sample_rows, write_sample
from mozhu.kernel.errors import TargetExists
from mozhu.specs.data import SampleSpec


def test_the_sample_is_ten_chinese_rows_of_instruction_input_and_output(tmp_path: Path) -> None:
    rows = json.loads(write_sample(tmp_path / "data/sample").read_text(encoding="utf-8"))
    assert len(rows) == 10
    for row in rows:
        assert set(row) == {"instruction", "input", "output"}
        assert any("\u4e00" <= char <= "\u9fff" for char in row["instruction"])
        assert 30 <= len(row["output"]) <= 80
    assert len({row["instruction"] + row["input"] for row in rows}) == 10
    assert any("\n" in row["output"] for row in rows)
    assert sum(bool(row["input"]) for row in rows) >= 3


def test_the_sample_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    first = write_sample(tmp_path / "a").read_bytes()
    assert write_sample(tmp_path / "b").read_bytes() == first
    assert write_sample(tmp_path / "a").read_bytes() == first


def test_an_edited_sample_is_not_overwritten(tmp_path: Path) -> None:
    path = write_sample(tmp_path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(TargetExists):
        write_sample(tmp_path)
    assert path.read_text(encoding="utf-8") == "[]"


def test_the_name_sample_means_these_rows_with_the_lines_of_the_written_file(tmp_path: Path) -> None:
    named, read = load_rows("sample"), load_rows(str(write_sample(tmp_path)))
    assert [row["source"] for row in named.rows] == [row["source"] for row in read.rows]
    assert named.sha256 == read.sha256
    assert named.rows[0]["row_id"] == "sample#1"
    assert [row["messages"][1]["content"] for row in named.rows] == [row["output"] for row in sample_rows()]


def test_the_verb_writes_the_file_and_says_where(tmp_path: Path, events: list) -> None:
    outcome = run_sample(SampleSpec(output_dir=str(tmp_path / "out")), tmp_path, events)
    assert (tmp_path / "out/sample_data.json").is_file()
    assert outcome.metrics["rows"].value == 10
    assert "sample_data.json" in events[0]["message"]
