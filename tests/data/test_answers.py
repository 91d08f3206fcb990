"""Rows with more than one answer or with a label, in all their spellings; images beside the data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.prepare import run_prepare
from mozhu.engine.data.rows import RowProblem
from mozhu.engine.data.shapes import KIND_OF_SHAPE, convert, recognise
from mozhu.kernel.errors import WrongStage
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.snapshot import PreparedRow

S = {"role": "system", "content": "你是助手。"}
Q = {"role": "user", "content": "问"}
GOOD, BAD = {"role": "assistant", "content": "好"}, {"role": "assistant", "content": "坏"}
HUMAN = {"from": "human", "value": "问"}
PREFERENCE = {"messages": [Q], "chosen": [GOOD], "rejected": [BAD]}


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "问", "chosen": "好", "rejected": "坏"},
        {"question": "问", "chosen": "好", "rejected": "坏", "answer": None},
        {"instruction": "问", "input": "", "chosen": "好", "rejected": "坏"},
        {"question": "问", "response_chosen": "好", "response_rejected": "坏"},
        {"question": "问", "response_j": "好", "response_k": "坏"},
        {"prompt": "问", "chosen_response": "好", "rejected_response": "坏"},
        {"prompt": [Q], "chosen": [GOOD], "rejected": [BAD]},
        {"chosen": [Q, GOOD], "rejected": [Q, BAD]},
        {"prompt": "问", "chosen": [Q, GOOD], "rejected": [Q, BAD], "score_chosen": 9.0},
        {"messages": [Q], "chosen": GOOD, "rejected": BAD},
        {"messages": [Q, GOOD], "rejected_response": "坏"},
        {"messages": [Q, GOOD], "rejected_messages": [BAD]},
        {
            "conversations": [HUMAN],
            "chosen": {"from": "gpt", "value": "好"},
            "rejected": {"from": "gpt", "value": "坏"},
        },
        {"chosen": "\n\nHuman: 问\n\nAssistant: 好", "rejected": "\n\nHuman: 问\n\nAssistant: 坏"},
        {"prompt": json.dumps([Q]), "chosen": json.dumps([GOOD]), "rejected": json.dumps([BAD])},
        {"问题": "问", "优选": "好", "拒绝": "坏"},
    ],
)
def test_preferences_in_their_usual_spellings_are_one_thing(row: dict[str, Any]) -> None:
    assert recognise([row]) == "preference"
    assert convert(row, "preference") == PREFERENCE
    assert recognise([PREFERENCE]) == "preference" and convert(PREFERENCE, "preference") == PREFERENCE


def test_preferences_keep_system_history_tools_and_several_turns() -> None:
    row = {
        "system": "你是助手。",
        "prompt": "再问",
        "history": [["问", "答"]],
        "chosen": "好",
        "rejected": "坏",
    }
    asked = [S, Q, {"role": "assistant", "content": "答"}, {"role": "user", "content": "再问"}]
    assert convert(row, "preference")["messages"] == asked
    late = {"chosen": [*asked, GOOD], "rejected": [*asked, BAD]}
    assert convert(late, "preference") == {"messages": asked, "chosen": [GOOD], "rejected": [BAD]}
    tools = [{"type": "function", "function": {"name": "f"}}]
    assert convert({**PREFERENCE, "tools": tools}, "preference")["tools"] == tools


@pytest.mark.parametrize(
    ("row", "code", "field"),
    [
        ({"prompt": "问", "chosen": "好", "rejected": "好"}, "DATA-143", "rejected"),
        ({"prompt": "问", "chosen": "", "rejected": "坏"}, "DATA-105", "chosen"),
        ({"prompt": "问", "chosen": "好", "rejected": []}, "DATA-105", "rejected"),
        ({"prompt": "", "chosen": "好", "rejected": "坏"}, "DATA-106", "prompt"),
        ({"prompt": "问", "chosen": "好"}, "DATA-103", "rejected"),
        ({"prompt": "问", "chosen": 5, "rejected": "坏"}, "DATA-104", "chosen"),
        (
            {"chosen": [Q, GOOD], "rejected": [{"role": "user", "content": "别的"}, BAD]},
            "DATA-150",
            "chosen",
        ),
        ({"question": "问", "response_j": "好", "response_k": " "}, "DATA-105", "response_k"),
    ],
)
def test_a_bad_preference_names_its_field(row: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(RowProblem) as caught:
        convert(row, "preference")
    assert (caught.value.code, caught.value.field) == (code, field)


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [Q, GOOD], "label": True},
        {"prompt": "问", "completion": "好", "label": True},
        {"prompt": [Q], "completion": [GOOD], "label": True},
        {"instruction": "问", "input": "", "output": "好", "kto_tag": 1},
        {"question": "问", "answer": "好", "label": "True"},
        {"conversations": [HUMAN, {"from": "gpt", "value": "好"}], "kto_tag": "yes"},
    ],
)
def test_marked_answers_in_their_usual_spellings_are_one_thing(row: dict[str, Any]) -> None:
    assert recognise([row]) == "kto"
    found = convert(row, "kto")
    assert found == {"messages": [Q, GOOD], "label": True}
    assert recognise([found]) == "kto" and convert(found, "kto") == found


def test_a_topic_beside_an_answer_is_no_mark() -> None:
    assert recognise([{"question": "问", "answer": "答", "label": "地理"}]) == "prompt"
    with pytest.raises(RowProblem) as caught:
        convert({"question": "问", "answer": "答", "label": "地理"}, "kto")
    assert (caught.value.code, caught.value.field) == ("DATA-144", "label")


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"text": "问", "label": 3}, 3),
        ({"sentence": "问", "category": "好评"}, "好评"),
        ({"文本": "问", "标签": "好评"}, "好评"),
        ({"messages": [Q], "label": "好评"}, "好评"),
    ],
)
def test_texts_with_a_class(row: dict[str, Any], label: Any) -> None:
    assert recognise([row]) == "classification"
    found = convert(row, "classification")
    assert found == {"messages": [Q], "label": label}
    assert recognise([found]) == "classification" and convert(found, "classification") == found
    with pytest.raises(RowProblem) as caught:
        convert({**row, next(iter(set(row) & {"label", "category", "标签"})): None}, "classification")
    assert caught.value.code == "DATA-148"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "问", "answers": ["中", "好", "坏"], "scores": [0.5, 0.9, 0.1]},
        {"question": "问", "responses": [{"text": "坏", "score": 1}, {"text": "好", "score": 5}]},
        {"prompt": "问", "completions": ["坏", "好"], "ranks": [2, 1]},
        {"prompt": "问", "answers": '["好", "坏"]', "scores": "[2, 1]"},
    ],
)
def test_ranked_answers_become_the_best_over_the_worst(row: dict[str, Any]) -> None:
    assert recognise([row]) == "ranking"
    found = convert(row, "ranking")
    assert {name: found[name] for name in PREFERENCE} == PREFERENCE
    assert [item["content"] for item in found["ranking"]]


@pytest.mark.parametrize("scores", [[1, 1], [1], ["a", "b"], [float("nan"), 1]])
def test_answers_that_cannot_be_ranked(scores: list[Any]) -> None:
    with pytest.raises(RowProblem) as caught:
        convert({"prompt": "问", "answers": ["好", "坏"], "scores": scores}, "ranking")
    assert caught.value.code == "DATA-145"


ROWS = {
    "preference": {"prompt": "问", "chosen": "好", "rejected": "坏"},
    "kto": {"prompt": "问", "completion": "好", "label": False},
    "classification": {"text": "问", "label": 1},
}


@pytest.mark.parametrize("shape", ROWS)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_rows_of_another_stage_are_refused_with_what_to_do(write: Any, shape: str, language: str) -> None:
    from mozhu.kernel.texts import set_language

    set_language(language)
    path = write("rows.json", [ROWS[shape]] * 3)
    with pytest.raises(WrongStage) as caught:
        load_rows(str(path))
    assert (
        "mozhu data convert --input" in str(caught.value)
        and "`label`" in str(caught.value)
        or shape == "preference"
    )
    kept = load_rows(str(path), stage=None)
    assert (len(kept.rows), kept.sources[0].shape) == (3, shape)
    own = {"preference": "dpo"}.get(KIND_OF_SHAPE[shape], shape)
    assert len(load_rows(str(path), stage=own).rows) == 3
    with pytest.raises(WrongStage):
        load_rows(str(write("sft.json", [{"prompt": "问", "completion": "答"}])), stage=own)


@pytest.mark.parametrize("shape", ROWS)
def test_a_snapshot_keeps_what_its_rows_are(own_folder: Path, events: Any, write: Any, shape: str) -> None:
    rows = [{**ROWS[shape], next(iter(ROWS[shape])): f"问{n}"} for n in range(12)]
    run_prepare(PrepareSpec(input=str(write("raw.json", rows)), output_dir="out"), own_folder, events)
    before = load_rows("raw.json", stage=None)
    after = [
        row
        for part in ("train", "validation", "test")
        for row in load_rows("out", part=part, stage=None).rows
    ]
    assert sorted(json.dumps(row["messages"]) for row in after) == sorted(
        json.dumps(row["messages"]) for row in before.rows
    )
    for row in after:
        PreparedRow.model_validate(row)
        assert "text" not in row
    assert not any(code == "DATA-132" for code in events.codes())


def test_function_calls_of_openai_ms_swift_and_llama_factory_are_one_thing() -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}
    wanted = [
        Q,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "1"},
        GOOD,
    ]
    said = json.dumps({"name": "f", "arguments": {"x": 1}})
    swift = [Q, {"role": "tool_call", "content": said}, {"role": "tool_response", "content": "1"}, GOOD]
    older = [
        Q,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x": 1}'}},
        {"role": "function", "content": "1"},
        GOOD,
    ]
    factory = [
        HUMAN,
        {"from": "function_call", "value": said},
        {"from": "observation", "value": "1"},
        {"from": "gpt", "value": "好"},
    ]
    assert convert({"messages": swift}, "messages")["messages"] == wanted
    assert convert({"messages": older}, "messages")["messages"] == wanted
    assert convert({"conversations": factory}, "sharegpt")["messages"] == wanted


def test_images_are_found_beside_the_file_and_missing_ones_are_said(write: Any, tmp_path: Path) -> None:
    write("d/pictures/1.jpg", b"jpg")
    part = {"type": "image_url", "image_url": {"url": "pictures/1.jpg"}}
    asked = {"role": "user", "content": [part, {"type": "text", "text": "是什么？"}]}
    told = {"role": "user", "content": "<image>是什么？"}
    rows = [
        {"messages": [told, GOOD], "images": ["pictures/1.jpg"]},
        {"messages": [Q, GOOD], "images": "pictures/1.jpg"},
        {"messages": [asked, GOOD]},
        {"messages": [told, GOOD], "images": [{"path": "pictures/1.jpg", "bytes": None}]},
        {"messages": [told, GOOD], "images": ["pictures/2.jpg"]},
        {"messages": [told, GOOD], "images": ["pictures/1.jpg"] * 2},
        {"messages": [told, GOOD], "images": ["https://example.com/1.jpg"]},
        {"messages": [told, GOOD], "images": [{"bytes": "/9j/"}]},
        {"messages": [told, GOOD], "videos": ["1.mp4"]},
    ]
    loaded = load_rows(str(write("d/rows.json", rows)))
    place = (tmp_path / "d/pictures/1.jpg").as_posix()
    assert [row["images"] for row in loaded.rows] == [[place]] * 4
    assert [row["messages"][0]["content"][:7] for row in loaded.rows] == ["<image>"] * 4
    assert [(row.code, row.field) for row in loaded.rejected] == [
        ("DATA-140", "images[0]"),
        ("DATA-141", "images"),
        ("DATA-142", "images[0]"),
        ("DATA-142", "images[0]"),
        ("DATA-149", "videos"),
    ]
    assert "pictures/2.jpg" in loaded.rejected[0].fix
