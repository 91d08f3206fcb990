"""The texts of a prepared row, and what of it makes it the same as another row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

ANSWER, LABEL = 1, 2


@dataclass(frozen=True)
class Claim:
    """What a row says (``verdict``) about what (``key``): two rows with one key and two verdicts contradict.

    ``shown`` is the verdict for people; ``kind`` is :data:`ANSWER` or :data:`LABEL`.
    """

    kind: int
    key: int
    verdict: int
    shown: str = ""


def texts_of(row: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, text, role) of everything in a prepared row that a model would read or write."""
    if isinstance(row.get("text"), str) and "messages" not in row:
        yield "text", row["text"], "text"
    for number, message in enumerate(row.get("messages") or ()):
        if message.get("content") and isinstance(message["content"], str):
            yield f"messages[{number}].content", message["content"], str(message.get("role"))
    for name in ("chosen", "rejected"):
        value = row.get(name)
        items = value if isinstance(value, list) else [{"content": value}]
        for number, message in enumerate(items):
            if isinstance(message, dict) and isinstance(message.get("content"), str):
                yield f"{name}[{number}].content", message["content"], "assistant"


def apart_by(row: dict[str, Any]) -> str:
    """What besides its texts makes a row another one: label, tools, calls, images."""
    more = {name: row[name] for name in ("label", "tools", "images") if row.get(name) is not None}
    calls = [message["tool_calls"] for message in row.get("messages") or () if message.get("tool_calls")]
    return _written([more, calls]) if more or calls else ""


def claim_of(row: dict[str, Any]) -> Claim | None:
    """What the row claims: a label of its content, the better of two answers, or the answer to a question."""
    messages = row.get("messages")
    if not messages:
        return None
    around = _written([row.get("tools"), row.get("images")])
    if "chosen" in row and "rejected" in row:
        sides = [_turns(row["chosen"]), _turns(row["rejected"])]
        key = hash((_turns(messages), around, tuple(sorted(sides))))
        return Claim(LABEL, key, hash(sides[0]), str(row["chosen"][0].get("content", "")))
    if "label" in row:
        return Claim(LABEL, hash((_turns(messages), around)), hash(repr(row["label"])), str(row["label"]))
    if messages[-1].get("role") != "assistant" or len(messages) < 2:
        return None
    return Claim(ANSWER, hash((_turns(messages[:-1]), around)), hash(_turns(messages[-1:])))


def _turns(messages: list[dict[str, Any]]) -> tuple[str, ...]:
    """The messages as they compare: blanks at their ends do not count."""
    return tuple(
        f"{message.get('role')}:{str(message.get('content') or '').strip()}{_written(message.get('tool_calls'))}"
        for message in messages
    )


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str) if value else ""
