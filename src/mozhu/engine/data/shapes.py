"""Recognises the shape of a file's rows and converts them to the canonical ones: ``messages`` or ``text``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from mozhu.engine.data.conversations import messages_turns, sharegpt_turns, tools_of
from mozhu.engine.data.fields import filled, first_field, optional_string, required_string, type_name
from mozhu.engine.data.rows import RowProblem

SHAPES = ("alpaca", "messages", "sharegpt", "prompt", "text")
# The first of each that a row has is taken.
PROMPT_FIELDS = ("prompt", "question", "query", "instruction", "input", "问题", "提问", "指令")
ANSWER_FIELDS = ("completion", "answer", "response", "output", "target", "答案", "回答", "输出")
_CONTAINERS = ("messages", "conversations", "conversation")
_EVIDENCE_ROWS = 1000


def row_shape(value: Any, text_column: str = "text") -> str | None:
    """The shape that ``value`` shows, or ``None``; a text column named by the user wins over other signs."""
    if isinstance(value, str):
        return "text"
    if not isinstance(value, dict):
        return None
    if text_column != "text" and text_column in value:
        return "text"
    for name in _CONTAINERS:
        if isinstance(value.get(name), list):
            return _turns_shape(value[name], name)
    if "instruction" in value and ("output" in value or "input" in value):
        return "alpaca"
    if first_field(value, PROMPT_FIELDS) and first_field(value, ANSWER_FIELDS):
        return "prompt"
    return "text" if text_column in value else None


def recognise(values: Iterable[Any], text_column: str = "text") -> str | None:
    """The shape that most of the first thousand rows show; ``None`` when none shows any."""
    counts: Counter[str] = Counter()
    for number, value in enumerate(values):
        if number >= _EVIDENCE_ROWS:
            break
        shape = row_shape(value, text_column)
        if shape:
            counts[shape] += 1
    return counts.most_common(1)[0][0] if counts else None


def convert(
    value: Any, shape: str, *, text_column: str = "text", system: str | None = None
) -> dict[str, Any]:
    """``value`` as ``{"messages": …}`` or ``{"text": …}``, with its ``tools`` and ``images`` if it has any.

    ``system`` is put before conversations that have no system message of their own.

    Raises:
        RowProblem: with the field and code of the first thing that is wrong.
    """
    if shape == "text":
        return _text(value, text_column)
    if not isinstance(value, dict):
        raise RowProblem("DATA-102", "", found=type_name(value))
    if "chosen" in value and "rejected" in value:
        raise RowProblem("DATA-116", "chosen")
    row = _CONVERTERS[shape](value)
    messages = row["messages"]
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    images = value.get("images")
    if images:
        row["images"] = images if isinstance(images, list) else [images]
    return row


def _turns_shape(turns: list[Any], name: str) -> str:
    first = next((turn for turn in turns if isinstance(turn, dict)), {})
    if "from" in first or "value" in first:
        return "sharegpt"
    return "messages" if "role" in first or name == "messages" else "sharegpt"


def _alpaca(value: dict[str, Any]) -> dict[str, Any]:
    """LLaMA-Factory's rule: the question is instruction and input, joined by a line break."""
    asked = [required_string(value, "instruction"), optional_string(value, "input")]
    question = "\n".join(part for part in asked if part)
    if not question.strip():
        raise RowProblem("DATA-106", "instruction")
    answer = filled(required_string(value, "output"), "output", "DATA-105")
    messages = _system(value) + _history(value)
    return {"messages": [*messages, _message("user", question), _message("assistant", answer)]}


def _prompt(value: dict[str, Any]) -> dict[str, Any]:
    asked = first_field(value, PROMPT_FIELDS) or "prompt"
    answered = first_field(value, ANSWER_FIELDS) or "completion"
    question = filled(required_string(value, asked), asked, "DATA-106")
    answer = filled(required_string(value, answered), answered, "DATA-105")
    return {"messages": [*_system(value), _message("user", question), _message("assistant", answer)]}


def _messages(value: dict[str, Any]) -> dict[str, Any]:
    name = first_field(value, _CONTAINERS) or "messages"
    return _conversation(value, messages_turns(value, name))


def _sharegpt(value: dict[str, Any]) -> dict[str, Any]:
    name = first_field(value, ("conversations", "conversation", "messages")) or "conversations"
    return _conversation(value, sharegpt_turns(value, name))


def _conversation(value: dict[str, Any], turns: list[dict[str, Any]]) -> dict[str, Any]:
    if turns[0]["role"] != "system":
        turns = _system(value) + turns
    tools = tools_of(value)
    return {"messages": turns, "tools": tools} if tools else {"messages": turns}


def _text(value: Any, text_column: str) -> dict[str, Any]:
    if isinstance(value, str):
        content = value
    elif isinstance(value, dict):
        content = required_string(value, text_column)
    else:
        raise RowProblem("DATA-102", "", found=type_name(value))
    return {"text": filled(content, text_column, "DATA-110")}


def _system(value: dict[str, Any]) -> list[dict[str, Any]]:
    content = optional_string(value, "system")
    return [_message("system", content)] if content.strip() else []


def _history(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Alpaca's earlier rounds: ``[[question, answer], …]``."""
    history = value.get("history")
    if history is None or history == "":
        return []
    if not isinstance(history, list):
        raise RowProblem("DATA-104", "history", found=type_name(history), wanted="[[…, …], …]")
    messages = []
    for number, pair in enumerate(history):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise RowProblem("DATA-104", f"history[{number}]", found=type_name(pair), wanted="[…, …]")
        question = filled(pair[0], f"history[{number}][0]", "DATA-106")
        answer = filled(pair[1], f"history[{number}][1]", "DATA-105")
        messages += [_message("user", question), _message("assistant", answer)]
    return messages


def _message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


_CONVERTERS = {"alpaca": _alpaca, "messages": _messages, "sharegpt": _sharegpt, "prompt": _prompt}
