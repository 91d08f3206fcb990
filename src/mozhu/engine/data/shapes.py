"""Recognises the shape of a file's rows and converts them to the prepared ones of records.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mozhu.engine.data.asking import (
    alpaca_question,
    answer_turns,
    is_alpaca,
    message,
    present,
    prompt_turns,
    system_turns,
)
from mozhu.engine.data.conversations import in_order, is_sharegpt, messages_turns, sharegpt_turns, tools_of
from mozhu.engine.data.field_names import (
    ANSWER_FIELDS,
    ANSWERS_FIELDS,
    NOT_YET,
    PROMPT_FIELDS,
    SCORES_FIELDS,
    TURN_FIELDS,
)
from mozhu.engine.data.fields import filled, first_field, required_string, type_name
from mozhu.engine.data.labels import classified, is_classified, is_marked, marked
from mozhu.engine.data.pictures import check_marks, images_of, with_marks
from mozhu.engine.data.preferences import is_ranking, pair_of, preference, ranking
from mozhu.engine.data.rows import RowProblem

SHAPES = (
    *("alpaca", "messages", "sharegpt", "prompt", "text"),
    *("preference", "ranking", "kto", "classification"),
)
# What rows of a shape can teach.
KIND_OF_SHAPE = {
    **dict.fromkeys(("alpaca", "messages", "sharegpt", "prompt"), "sft"),
    **dict.fromkeys(("preference", "ranking"), "preference"),
    **{name: name for name in ("text", "kto", "classification")},
}
EVIDENCE_ROWS = 1000
# Tables hold these as JSON text.
_LISTS = (*TURN_FIELDS, "history", "images", *ANSWERS_FIELDS, *SCORES_FIELDS)
_TURNS_OR_TEXT = ("prompt", "completion", "chosen", "rejected")


def row_shape(value: Any, text_column: str = "text") -> str | None:
    """The shape that ``value`` shows, or ``None``; a text column named by the user wins over other signs."""
    if isinstance(value, str):
        return "text"
    if not isinstance(value, dict):
        return None
    if text_column != "text" and text_column in value:
        return "text"
    value = unfolded(value)
    if pair_of(value):
        return "preference"
    if is_ranking(value):
        return "ranking"
    shape = _answered_shape(value)
    if shape:
        return "kto" if is_marked(value) else shape
    if is_classified(value, text_column):
        return "classification"
    return "text" if text_column in value else None


def recognise(values: Iterable[Any], text_column: str = "text") -> str | None:
    """The shape that most of the first thousand rows show; ``None`` when none shows any."""
    counts = shape_counts(values, text_column)
    return counts.most_common(1)[0][0] if counts else None


def shape_counts(values: Iterable[Any], text_column: str = "text") -> Counter[str]:
    """How many of the first thousand rows show each shape."""
    counts: Counter[str] = Counter()
    for number, value in enumerate(values):
        if number >= EVIDENCE_ROWS:
            break
        shape = row_shape(value, text_column)
        if shape:
            counts[shape] += 1
    return counts


def convert(
    value: Any,
    shape: str,
    *,
    text_column: str = "text",
    system: str | None = None,
    image_folders: Sequence[Path] = (),
) -> dict[str, Any]:
    """``value`` as the content of a prepared row, with its ``tools`` and ``images`` if it has any.

    ``system`` is put before conversations that have no system message of their own. Images are looked for in
    ``image_folders`` and their absolute paths are kept; without folders they are not looked for.

    Raises:
        RowProblem: with the field and code of the first thing that is wrong.
    """
    if shape == "text":
        return _text(value, text_column)
    if not isinstance(value, dict):
        raise RowProblem("DATA-102", "", found=type_name(value))
    value = with_marks(unfolded(value))
    if KIND_OF_SHAPE[shape] == "sft" and pair_of(value):
        raise RowProblem("DATA-116", "chosen")
    for name in NOT_YET:
        if value.get(name):
            raise RowProblem("DATA-149", name)
    row = classified(value, text_column) if shape == "classification" else _CONVERTERS[shape](value)
    messages = row["messages"]
    if system and messages[0]["role"] != "system":
        messages.insert(0, message("system", system))
    tools = tools_of(value)
    if tools:
        row["tools"] = tools
    images = images_of(value, image_folders)
    if images:
        check_marks([*messages, *row.get("chosen", [])], images)
        row["images"] = images
    return row


def unfolded(value: dict[str, Any]) -> dict[str, Any]:
    """``value`` with lists that a table holds as JSON text as lists; other text stays as it is."""
    changed = {}
    for name in _LISTS:
        if isinstance(value.get(name), str) and value[name].lstrip().startswith("["):
            found = _parsed(value[name])
            if isinstance(found, list):
                changed[name] = found
    for name in _TURNS_OR_TEXT:
        content = value.get(name)
        if isinstance(content, str) and content.lstrip()[:1] in {"[", "{"}:
            found = _parsed(content)
            turns = found if isinstance(found, list) else [found]
            if turns and all(isinstance(turn, dict) and _is_turn(turn) for turn in turns):
                changed[name] = found
    return {**value, **changed} if changed else value


def _parsed(content: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _is_turn(turn: dict[str, Any]) -> bool:
    return {"role", "content"} <= turn.keys() or {"from", "value"} <= turn.keys()


def _answered_shape(value: dict[str, Any]) -> str | None:
    """The shape of a row with one answer."""
    for name in TURN_FIELDS:
        turns = value.get(name)
        if isinstance(turns, list):
            asked_only = turns and not any(_is_answer(turn) for turn in turns)
            if asked_only and present(value, ANSWER_FIELDS) and is_marked(value):
                return "messages"
            if asked_only and is_classified(value) and not is_sharegpt(turns):
                return None
            if name != "messages" and not any(isinstance(turn, dict) and "role" in turn for turn in turns):
                return "sharegpt"
            return "sharegpt" if is_sharegpt(turns) else "messages"
    if is_alpaca(value):
        return "alpaca"
    asked = present(value, PROMPT_FIELDS)
    answered = present(value, tuple(name for name in ANSWER_FIELDS if name != asked))
    if asked and answered:
        return "prompt"
    by_name = first_field(value, PROMPT_FIELDS) and first_field(value, ANSWER_FIELDS)
    return "prompt" if by_name and "text" not in value else None


def _is_answer(turn: Any) -> bool:
    return isinstance(turn, dict) and turn.get("role") == "assistant"


def _alpaca(value: dict[str, Any]) -> dict[str, Any]:
    asked = alpaca_question(value)
    answer = filled(required_string(value, "output"), "output", "DATA-105")
    return {"messages": [*system_turns(value), *asked, message("assistant", answer)]}


def _prompt(value: dict[str, Any]) -> dict[str, Any]:
    turns = prompt_turns(value) + answer_turns(value)
    if turns[0]["role"] != "system":
        turns = system_turns(value) + turns
    return {"messages": in_order(turns, "prompt")}


def _messages(value: dict[str, Any]) -> dict[str, Any]:
    return _conversation(value, messages_turns(value, first_field(value, TURN_FIELDS) or "messages"))


def _sharegpt(value: dict[str, Any]) -> dict[str, Any]:
    name = first_field(value, ("conversations", "conversation", "messages")) or "conversations"
    return _conversation(value, sharegpt_turns(value, name))


def _conversation(value: dict[str, Any], turns: list[dict[str, Any]]) -> dict[str, Any]:
    return {"messages": turns if turns[0]["role"] == "system" else system_turns(value) + turns}


def _text(value: Any, text_column: str) -> dict[str, Any]:
    if isinstance(value, str):
        content = value
    elif isinstance(value, dict):
        content = required_string(value, text_column)
    else:
        raise RowProblem("DATA-102", "", found=type_name(value))
    return {"text": filled(content, text_column, "DATA-110")}


_CONVERTERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "alpaca": _alpaca,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "prompt": _prompt,
    "preference": preference,
    "ranking": ranking,
    "kto": marked,
}
