"""Rows of every shape become messages or text; bad rows name their field and reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mozhu.engine.data.rows import RowProblem
from mozhu.engine.data.shapes import convert, recognise

Q = {"role": "user", "content": "问"}
A = {"role": "assistant", "content": "答"}
S = {"role": "system", "content": "你是助手。"}


def test_alpaca_joins_instruction_and_input_as_llama_factory_does() -> None:
    def question(instruction: str, given: str | None) -> str:
        return convert({"instruction": instruction, "input": given, "output": "答"}, "alpaca")["messages"][0][
            "content"
        ]

    assert question("翻译。", "你好") == "翻译。\n你好"
    assert question("翻译。", "") == "翻译。"
    assert question("翻译。", None) == "翻译。"
    assert question("", "你好") == "你好"


def test_alpaca_keeps_system_and_history() -> None:
    row = {"instruction": "再问", "output": "再答", "system": "你是助手。", "history": [["问", "答"]]}
    expected = [S, Q, A, {"role": "user", "content": "再问"}, {"role": "assistant", "content": "再答"}]
    assert convert(row, "alpaca") == {"messages": expected}


def test_messages_keep_system_and_all_turns() -> None:
    assert convert({"messages": [S, Q, A, Q, A]}, "messages") == {"messages": [S, Q, A, Q, A]}


def test_sharegpt_roles_are_translated() -> None:
    turns = [
        {"from": "system", "value": "你是助手。"},
        {"from": "human", "value": "问"},
        {"from": "gpt", "value": "答"},
    ]
    assert convert({"conversations": turns}, "sharegpt") == {"messages": [S, Q, A]}


def test_sharegpt_function_calls_become_tool_calls() -> None:
    tool = {"name": "weather", "parameters": {"type": "object"}}
    turns = [
        {"from": "human", "value": "问"},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "北京"}}'},
        {"from": "observation", "value": '{"sky": "晴"}'},
        {"from": "gpt", "value": "答"},
    ]
    row = convert({"conversations": turns, "tools": json.dumps([tool])}, "sharegpt")
    call = row["messages"][1]["tool_calls"][0]
    assert call == {"type": "function", "function": {"name": "weather", "arguments": {"city": "北京"}}}
    assert row["messages"][2] == {"role": "tool", "content": '{"sky": "晴"}'}
    assert row["tools"] == [{"type": "function", "function": tool}]


def test_openai_tool_calls_get_their_arguments_as_an_object() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    answered = {"role": "tool", "content": "2", "tool_call_id": "c1"}
    turns = convert({"messages": [Q, asked, answered, A]}, "messages")["messages"]
    assert turns[1]["tool_calls"][0] == {**call, "function": {"name": "f", "arguments": {"x": 1}}}
    assert turns[1]["content"] == "" and turns[2] == answered


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "问", "completion": "答"},
        {"question": "问", "answer": "答"},
        {"query": "问", "response": "答"},
        {"instruction": "问", "response": "答"},
        {"问题": "问", "答案": "答"},
    ],
)
def test_question_and_answer_under_their_usual_names(row: dict[str, Any]) -> None:
    assert recognise([row]) == "prompt"
    assert convert(row, "prompt") == {"messages": [Q, A]}


def test_the_system_of_the_request_fills_in_and_never_replaces() -> None:
    assert convert({"prompt": "问", "completion": "答"}, "prompt", system="你是助手。")["messages"] == [
        S,
        Q,
        A,
    ]
    assert convert({"messages": [S, Q, A]}, "messages", system="别的")["messages"] == [S, Q, A]


def test_the_shape_is_what_most_rows_show() -> None:
    assert recognise([{"instruction": "a", "output": "b"}]) == "alpaca"
    assert recognise([{"messages": [Q, A]}]) == "messages"
    assert recognise([{"conversations": [{"from": "human", "value": "x"}]}]) == "sharegpt"
    assert recognise([{"conversations": [Q, A]}]) == "messages"
    assert recognise([{"text": "a"}]) == "text"
    assert recognise(["a"]) == "text"
    assert recognise([{"bad": 1}, {"messages": [Q, A]}, {"messages": [Q, A]}, {"text": "a"}]) == "messages"
    assert recognise([{"foo": 1}, 5]) is None


def test_a_text_column_that_is_named_wins_over_other_signs() -> None:
    row = {"instruction": "a", "output": "b", "content": "全文", "text": "c"}
    assert recognise([row]) == "alpaca"
    assert recognise([row], "content") == "text"
    assert convert(row, "text", text_column="content") == {"text": "全文"}


BAD = [
    (5, "alpaca", "DATA-102", ""),
    ({"instruction": "问"}, "alpaca", "DATA-103", "output"),
    ({"instruction": "问", "output": 42}, "alpaca", "DATA-104", "output"),
    ({"instruction": "问", "input": 3, "output": "答"}, "alpaca", "DATA-104", "input"),
    ({"instruction": "问", "output": " \n"}, "alpaca", "DATA-105", "output"),
    ({"instruction": "", "input": "", "output": "答"}, "alpaca", "DATA-106", "instruction"),
    ({"instruction": "问", "output": "答", "history": [["问"]]}, "alpaca", "DATA-104", "history[0]"),
    ({"messages": "问"}, "messages", "DATA-104", "messages"),
    ({"messages": []}, "messages", "DATA-109", "messages"),
    ({"messages": [Q]}, "messages", "DATA-109", "messages"),
    ({"messages": ["问", A]}, "messages", "DATA-104", "messages[0]"),
    ({"messages": [Q, {"role": "robot", "content": "答"}]}, "messages", "DATA-107", "messages[1].role"),
    (
        {"messages": [Q, {"role": "assistant", "content": None}]},
        "messages",
        "DATA-104",
        "messages[1].content",
    ),
    ({"messages": [Q, {"role": "assistant", "content": ""}]}, "messages", "DATA-105", "messages[1].content"),
    ({"messages": [{"role": "user", "content": ""}, A]}, "messages", "DATA-106", "messages[0].content"),
    ({"messages": [A, Q]}, "messages", "DATA-108", "messages[0]"),
    ({"messages": [Q, Q, A]}, "messages", "DATA-108", "messages[1]"),
    ({"messages": [Q, A, S, Q, A]}, "messages", "DATA-108", "messages[2]"),
    ({"messages": [Q, A, Q]}, "messages", "DATA-118", "messages[2]"),
    ({"conversations": [{"from": "human"}]}, "sharegpt", "DATA-103", "conversations[0].value"),
    (
        {"conversations": [{"from": "function_call", "value": "?"}]},
        "sharegpt",
        "DATA-117",
        "conversations[0].value",
    ),
    (
        {"messages": [Q, {"role": "assistant", "tool_calls": [{"name": "f"}]}]},
        "messages",
        "DATA-117",
        "messages[1].tool_calls",
    ),
    (
        {"messages": [Q, {"role": "assistant", "tool_calls": "f()"}]},
        "messages",
        "DATA-117",
        "messages[1].tool_calls",
    ),
    ({"prompt": "问", "chosen": "好", "rejected": "坏"}, "prompt", "DATA-116", "chosen"),
    ({"text": " "}, "text", "DATA-110", "text"),
    ({"content": "x"}, "text", "DATA-103", "text"),
    ({"text": None}, "text", "DATA-104", "text"),
]


@pytest.mark.parametrize(("row", "shape", "code", "field"), BAD)
def test_a_bad_row_names_its_field_and_reason(row: Any, shape: str, code: str, field: str) -> None:
    with pytest.raises(RowProblem) as caught:
        convert(row, shape)
    assert (caught.value.code, caught.value.field) == (code, field)
