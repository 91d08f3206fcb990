"""What stands in one prepared row, whatever its kind: what is asked, what is answered, what it brings along."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

KINDS = ("sft", "text", "preference", "kto", "classification")
_HAN = "\u3400-\u4dbf\u4e00-\u9fff"
_WORDS = re.compile(rf"[{_HAN}]|[^\W{_HAN}]+(?:['’.@+-]+[^\W{_HAN}]+)*")
_HAN_LETTER = re.compile(f"[{_HAN}]")
_FIRST_HAN, _FIRST_WORDS, _LONGEST_WORD = 4, 2, 80
_PICTURE = re.compile(r"<(?:image|video|audio)>")


@dataclass(frozen=True)
class Facts:
    """``asked`` is the last question, ``answered`` the answer to it; ``whole`` all that is said, without the system.

    ``turns`` counts questions; ``calls`` are the names of the functions that answers call. ``questions`` and
    ``answers`` are lengths in characters; those of the unwanted answer stand in ``rejected`` only.
    """

    kind: str
    asked: str
    answered: str
    first_question: str
    system: str
    whole: str
    turns: int
    messages: int
    questions: list[int] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    images: int = 0
    label: str | None = None
    chosen: str | None = None
    rejected: str | None = None


def facts_of(row: dict[str, Any]) -> Facts:
    """The facts of a prepared row."""
    if "messages" not in row:
        return Facts("text", "", "", "", "", str(row["text"]), 0, 0)
    kind, turns = kind_of(row), [*row["messages"], *(row.get("chosen") or ())]
    said = [*turns, *(row.get("rejected") or ())]
    questions, answers = _said(turns, "user"), _said(turns, "assistant")
    calls = [_function(call) for turn in turns for call in turn.get("tool_calls") or ()]
    label = row.get("label")
    return Facts(
        kind=kind,
        asked=questions[-1] if questions else "",
        answered=answers[-1] if answers else "",
        first_question=questions[0] if questions else "",
        system="\n".join(_said(turns, "system")),
        whole="\n".join(content for turn in said if turn["role"] != "system" and (content := _content(turn))),
        turns=len(questions),
        messages=len(turns),
        questions=[len(content) for content in questions],
        answers=[len(content) for content in answers],
        tools=[_function(tool) for tool in row.get("tools") or ()],
        calls=calls,
        images=len(row.get("images") or ()),
        label=None if label is None else _label(label),
        chosen=_joined(row.get("chosen")),
        rejected=_joined(row.get("rejected")),
    )


def kind_of(row: dict[str, Any]) -> str:
    """One of :data:`KINDS`."""
    if "messages" not in row:
        return "text"
    if "chosen" in row:
        return "preference"
    if "label" not in row:
        return "sft"
    return "kto" if isinstance(row["label"], bool) else "classification"


def first_words(content: str) -> str:
    """The first four Chinese characters, or the first two words; small letters, without punctuation."""
    found: list[str] = []
    han = 0
    for match in _WORDS.finditer(_PICTURE.sub("", content[:400])):
        word = match.group()
        is_han = len(word) == 1 and _HAN_LETTER.match(word) is not None
        if found and is_han != bool(han):
            break
        found.append(word[:_LONGEST_WORD].lower())
        han += is_han
        if han == _FIRST_HAN or (not han and len(found) == _FIRST_WORDS):
            break
    return ("" if han else " ").join(found)


def _said(turns: Iterable[dict[str, Any]], role: str) -> list[str]:
    """What ``role`` says, message by message; a message that only calls functions says nothing."""
    return [content for turn in turns if turn["role"] == role and (content := _content(turn))]


def _content(turn: dict[str, Any]) -> str:
    content = turn.get("content")
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _joined(turns: Any) -> str | None:
    return None if turns is None else "\n".join(_content(turn) for turn in turns)


def _function(item: Any) -> str:
    function = item.get("function", item) if isinstance(item, dict) else item
    return str(function.get("name", "")) if isinstance(function, dict) else str(function)


def _label(label: Any) -> str:
    return json.dumps(label) if isinstance(label, bool) else str(label)
