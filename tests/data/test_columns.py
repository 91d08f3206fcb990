"""What fields are taken for: told or guessed, always with the evidence, and blamed under the file's own names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.data.columns import guess, parse_columns
from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.prepare import run_prepare
from mozhu.kernel.errors import BadColumns, UnknownRowShape
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.snapshot import Snapshot


def test_told_columns_are_used_and_blamed_by_their_own_names(write: Any) -> None:
    rows = [
        {"Frage": "问", "Antwort": "答", "output": "别的"},
        {"Frage": "问", "Antwort": ""},
        {"Frage": "问"},
    ]
    loaded = load_rows(str(write("rows.json", rows)), columns="Frage=instruction, Antwort=output")
    assert [turn["content"] for turn in loaded.rows[0]["messages"]] == ["问", "答"]
    assert [(row.code, row.field) for row in loaded.rejected] == [
        ("DATA-105", "Antwort"),
        ("DATA-103", "Antwort"),
    ]
    assert "`Frage` (3)" in loaded.evidence[0] and "`Antwort` (2)" in loaded.evidence[0]


def test_words_of_other_tools_mean_the_same(write: Any) -> None:
    path = str(write("rows.json", [{"q1": "问", "a1": "答"}]))
    assert len(load_rows(path, columns="q1=question,a1=answer").rows) == 1
    assert load_rows(str(write("t.json", [{"正文": "一段"}])), columns="正文=text").rows[0]["text"] == "一段"


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("question", "question"),
        ("q=", "q="),
        ("q=nonsense", "nonsense"),
        ("q=instruction,a=instruction", "instruction"),
        ("q=instruction,q=output", "q"),
        ("absent=instruction,a=output", "absent"),
    ],
)
def test_columns_that_cannot_be_used_say_why(write: Any, written: str, reason: str) -> None:
    with pytest.raises(BadColumns) as caught:
        load_rows(str(write("rows.json", [{"q": "问", "a": "答"}])), columns=written)
    assert reason in str(caught.value) and "instruction" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        (("Question", "Answer"), "prompt"),
        (("提问内容", "标准答案"), "prompt"),
        (("user_input_text_question", "botReply"), "prompt"),
        (("正文内容",), "text"),
    ],
)
def test_unusual_names_are_guessed_and_the_guess_is_shown(
    write: Any, fields: tuple[str, ...], shape: str
) -> None:
    loaded = load_rows(str(write("rows.json", [{name: f"{name} 的值" for name in fields} | {"id": 7}] * 3)))
    assert loaded.sources[0].shape == shape and len(loaded.rows) == 3
    for name in fields:
        assert f"`{name}` (3)" in loaded.evidence[0]
    assert "`id`" in loaded.evidence[0]


@pytest.mark.parametrize("fields", [("question_1", "question_2", "answer"), ("foo", "bar"), ("问答",)])
def test_what_could_mean_several_things_is_not_guessed(write: Any, fields: tuple[str, ...]) -> None:
    with pytest.raises(UnknownRowShape, match="--columns"):
        load_rows(str(write("rows.json", [dict.fromkeys(fields, "值")])))


def test_a_guess_counts_its_rows_and_names_what_is_not_used() -> None:
    rows = [{"instruction": "问", "output": "答", "source_url": "x"}] * 3 + [{"foo": 1}]
    found = guess(rows)
    assert found and (found.shape, found.count, found.rows) == ("alpaca", 3, 4)
    assert found.fields == (("question", "instruction", 3), ("answer", "output", 3))
    assert found.unused == ("source_url", "foo")


def test_the_guess_is_in_the_output_and_in_the_snapshot(own_folder: Path, events: Any, write: Any) -> None:
    path = write("rows.json", [{"提问": f"问{n}", "解答": "答", "编号": n} for n in range(5)])
    outcome = run_prepare(PrepareSpec(input=str(path), output_dir="out"), own_folder, events)
    shown = [event["message"] for event in events if event["kind"] == "log"]
    assert any("`提问` (5)" in line and "`解答` (5)" in line and "`编号`" in line for line in shown)
    snapshot = Snapshot.read(own_folder / "out/snapshot.json")
    assert snapshot.sources[0]["guess"]["fields"]["question"] == {"field": "提问", "rows": 5}
    assert "`提问` (5)" in snapshot.settings["guess"] and outcome.details["evidence"]
    told = PrepareSpec(input=str(path), output_dir="out", columns="提问=question,解答=answer")
    run_prepare(told, own_folder, events)
    assert Snapshot.read(own_folder / "out/snapshot.json").settings["columns"] == told.columns


def test_nothing_told_is_nothing_changed() -> None:
    assert not parse_columns(None) and not parse_columns("")
    assert parse_columns("a=b=instruction").names == {"a=b": "instruction"}
