"""Rows with a label: answers marked as wanted or not (KTO), and texts with their class."""

from __future__ import annotations

from typing import Any

from mozhu.engine.data.asking import answer_turns, asked_turns, message, present
from mozhu.engine.data.conversations import in_order
from mozhu.engine.data.field_names import ANSWER_FIELDS, LABEL_FIELDS, MARK_FIELDS, TEXT_FIELDS, TURN_FIELDS
from mozhu.engine.data.fields import filled, required_string, type_name
from mozhu.engine.data.rows import RowProblem

_MARKS = {
    "true": True,
    "false": False,
    "1": True,
    "0": False,
    "yes": True,
    "no": False,
    "是": True,
    "否": False,
}


def is_marked(value: dict[str, Any]) -> bool:
    """Whether ``value`` says of its answer true or false; 0 and 1 count as that under ``kto_tag`` only."""
    name = present(value, MARK_FIELDS)
    if name is None:
        return False
    mark = value[name]
    if name == "kto_tag" or isinstance(mark, bool):
        return True
    return isinstance(mark, str) and mark.strip().lower() in {"true", "false"}


def is_classified(value: dict[str, Any], text_column: str = "text") -> bool:
    """Whether ``value`` is a text, or a question without an answer, with a label."""
    name = present(value, LABEL_FIELDS)
    if name is None or isinstance(value[name], (list, dict)):
        return False
    if present(value, (text_column, *TEXT_FIELDS)) is not None:
        return True
    return isinstance(value.get("messages"), list) and not _has_answer(value["messages"])


def marked(value: dict[str, Any]) -> dict[str, Any]:
    """A whole conversation as ``messages`` and ``label``: true where its last answer is wanted."""
    name = present(value, MARK_FIELDS) or "label"
    if name not in value:
        raise RowProblem("DATA-148", name)
    asked = asked_turns(value)
    if (
        not any(isinstance(value.get(field), list) for field in TURN_FIELDS)
        or asked[-1]["role"] != "assistant"
    ):
        asked = asked + answer_turns(value, present(value, ANSWER_FIELDS))
    return {"messages": in_order(asked, "messages"), "label": _mark(value[name], name)}


def classified(value: dict[str, Any], text_column: str = "text") -> dict[str, Any]:
    """The text as the user's message, and its ``label``: a word or a whole number."""
    name = present(value, LABEL_FIELDS) or "label"
    label = value.get(name)
    if label is None or (isinstance(label, str) and not label.strip()):
        raise RowProblem("DATA-148", name)
    if not isinstance(label, (str, int)):
        raise RowProblem("DATA-104", name, found=type_name(label), wanted="string")
    if isinstance(value.get("messages"), list):
        return {"messages": in_order(asked_turns(value), "messages", answered=False), "label": label}
    field = present(value, (text_column, *TEXT_FIELDS)) or text_column
    content = filled(required_string(value, field), field, "DATA-110")
    return {"messages": [message("user", content)], "label": label}


def _has_answer(turns: list[Any]) -> bool:
    return any(isinstance(turn, dict) and turn.get("role") == "assistant" for turn in turns)


def _mark(mark: Any, name: str) -> bool:
    if isinstance(mark, bool):
        return mark
    if isinstance(mark, (str, int)) and str(mark).strip().lower() in _MARKS:
        return _MARKS[str(mark).strip().lower()]
    raise RowProblem("DATA-144", name, found=str(mark)[:40])
