"""Prepared rows written in the forms that other tools read; what a form cannot hold is said, never dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mozhu.engine.data.asking import message
from mozhu.engine.data.rows import RowProblem

# The columns of each form in a table.
COLUMNS = {
    "text": ("text",),
    "messages": ("messages", "tools", "images"),
    "sharegpt": ("conversations", "tools", "images"),
    "alpaca": ("instruction", "input", "output", "system", "history", "tools", "images"),
    "prompt": ("prompt", "completion", "tools", "images"),
}
_SPEAKERS = {"system": "系统", "user": "用户", "assistant": "助手"}
_SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}


def write_as(row: dict[str, Any], to: str) -> dict[str, Any]:
    """The content of a prepared row in the form ``to``.

    The wanted answer of a preference is its answer; so is the label of a classified text.

    Raises:
        RowProblem: DATA-146, the form cannot hold it. DATA-147, its only answer is an unwanted one.
    """
    if "text" in row and "messages" not in row:
        if to != "text":
            raise RowProblem("DATA-146", "text", to=to, found="text")
        return {"text": row["text"]}
    messages = _with_answer(row)
    more = {name: row[name] for name in ("tools", "images") if row.get(name)}
    return _FORMS[to](messages, more)


def _with_answer(row: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = row["messages"]
    if "chosen" in row:
        return messages + row["chosen"]
    if row.get("label") is False and messages[-1]["role"] == "assistant":
        raise RowProblem("DATA-147", "label")
    if "label" in row and messages[-1]["role"] != "assistant":
        return [*messages, message("assistant", str(row["label"]))]
    return messages


def _text(messages: list[dict[str, Any]], more: dict[str, Any]) -> dict[str, Any]:
    _only_said(messages, more, "text", ("tools", "images"))
    said = [f"{_SPEAKERS[turn['role']]}：{turn['content']}\n\n" for turn in messages]
    return {"text": "".join(said).strip()}


def _messages(messages: list[dict[str, Any]], more: dict[str, Any]) -> dict[str, Any]:
    return {"messages": messages, **more}


def _sharegpt(messages: list[dict[str, Any]], more: dict[str, Any]) -> dict[str, Any]:
    turns = []
    for number, turn in enumerate(messages):
        said = {"from": _SHAREGPT[turn["role"]], "value": turn["content"]}
        if turn.get("reasoning_content") or (turn.get("tool_calls") and turn["content"]):
            raise RowProblem("DATA-146", f"messages[{number}]", to="sharegpt", found=", ".join(turn))
        if turn.get("tool_calls"):
            calls = [call["function"] for call in turn["tool_calls"]]
            value = json.dumps(calls if len(calls) > 1 else calls[0], ensure_ascii=False)
            said = {"from": "function_call", "value": value}
        turns.append(said)
    if "tools" in more:
        more = {**more, "tools": json.dumps(more["tools"], ensure_ascii=False)}
    return {"conversations": turns, **more}


def _alpaca(messages: list[dict[str, Any]], more: dict[str, Any]) -> dict[str, Any]:
    _only_said(messages, {}, "alpaca", ())
    system = [turn["content"] for turn in messages[:1] if turn["role"] == "system"]
    said = [turn["content"] for turn in messages[len(system) :]]
    row: dict[str, Any] = {"instruction": said[-2], "input": "", "output": said[-1]}
    if system:
        row["system"] = system[0]
    if len(said) > 2:
        row["history"] = [[said[at], said[at + 1]] for at in range(0, len(said) - 2, 2)]
    return {**row, **more}


def _prompt(messages: list[dict[str, Any]], more: dict[str, Any]) -> dict[str, Any]:
    """Two strings; two lists of messages, as TRL has them, where there is more than a question."""
    plain = len(messages) == 2 and not any(set(turn) - {"role", "content"} for turn in messages)
    if plain:
        return {"prompt": messages[0]["content"], "completion": messages[1]["content"], **more}
    return {"prompt": messages[:-1], "completion": messages[-1:], **more}


def _only_said(
    messages: list[dict[str, Any]], more: dict[str, Any], to: str, without: tuple[str, ...]
) -> None:
    for number, turn in enumerate(messages):
        if turn["role"] == "tool" or set(turn) - {"role", "content"}:
            raise RowProblem("DATA-146", f"messages[{number}]", to=to, found=", ".join(turn))
    for name in without:
        if name in more:
            raise RowProblem("DATA-146", name, to=to, found=name)


_FORMS: dict[str, Callable[[list[dict[str, Any]], dict[str, Any]], dict[str, Any]]] = {
    "text": _text,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt": _prompt,
}
