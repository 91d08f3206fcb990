"""Applies fixers to a row on its way from the file to its prepared form, and tells which changed it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mozhu.engine.data.fixers.base import RowFixer, TextFixer
from mozhu.engine.data.fixers.inside_json import change_calls, change_strings
from mozhu.engine.data.fixers.table import Fixer, chosen
from mozhu.engine.data.rows import RowProblem
from mozhu.engine.data.shapes import unfolded

_MOST_MENDS = 32
_NEVER_BLANK = {"assistant", "user", "text"}


@dataclass
class FixCount:
    """How many rows a fixer changed, and how many texts in them (a row that it mended counts as one)."""

    version: int
    rows: int = 0
    changes: int = 0


@dataclass(frozen=True)
class Mended:
    """A row's value as it was converted, its content, and how many of its texts each fixer changed."""

    value: Any
    content: dict[str, Any]
    changes: dict[str, int] = field(default_factory=dict)


class Mender:
    """Applies the fixers of these names in the order of the table."""

    def __init__(self, names: Iterable[str]) -> None:
        fixers: Sequence[Fixer] = chosen(names)
        self.rows = [fixer for fixer in fixers if isinstance(fixer, RowFixer)]
        self.texts = [fixer for fixer in fixers if isinstance(fixer, TextFixer)]

    def counts(self) -> dict[str, FixCount]:
        """A count of nothing for every fixer."""
        fixers: list[Fixer] = [*self.rows, *self.texts]
        return {fixer.name: FixCount(fixer.version) for fixer in fixers}

    def convert(self, value: Any, convert: Callable[[Any], dict[str, Any]]) -> Mended:
        """What ``convert`` makes of ``value``, mended before where it cannot be converted and after in its texts.

        Raises:
            RowProblem: what no fixer mends, and a text of which nothing is left.
        """
        changes: dict[str, int] = {}
        value, content = self._converted(value, convert, changes)
        for fixer in self.texts:
            content, changed = fix_texts(content, fixer)
            if changed:
                changes[fixer.name] = changed
                check_left(content, fixer.name)
        return Mended(value, content, changes)

    def _converted(
        self, value: Any, convert: Callable[[Any], dict[str, Any]], changes: dict[str, int]
    ) -> tuple[Any, dict[str, Any]]:
        for _ in range(_MOST_MENDS):
            try:
                return value, convert(value)
            except RowProblem as problem:
                mended = self._mend(value, problem)
                if mended is None:
                    raise
                name, value = mended
                changes[name] = changes.get(name, 0) + 1
        return value, convert(value)

    def _mend(self, value: Any, problem: RowProblem) -> tuple[str, dict[str, Any]] | None:
        if not isinstance(value, dict):
            return None
        for fixer in self.rows:
            mended = fixer.mend(unfolded(value), problem)
            if mended is not None:
                return fixer.name, mended
        return None


def fix_texts(content: dict[str, Any], fixer: TextFixer) -> tuple[dict[str, Any], int]:
    """``content`` with ``fixer`` made to each of its texts, and how many changed; JSON stays unless it is meant."""
    before = content
    if fixer.in_json:
        content = _json_fixed(content, fixer)
    texts = [text for _, text, _ in texts_of(content)]
    after = {text: fixer.change(text) for text in texts}
    changed = sum(after[text] != text for text in texts) + _different(before, content)
    if not changed or fixer.leaves_alone(texts):
        return before, 0
    return _with_texts(content, after), changed


def _different(first: dict[str, Any], second: dict[str, Any]) -> int:
    """How many messages differ."""
    names = ("messages", "chosen", "rejected") if first is not second else ()
    return sum(
        one != two for name in names for one, two in zip(first.get(name) or (), second.get(name) or ())
    )


def _json_fixed(content: dict[str, Any], fixer: TextFixer) -> dict[str, Any]:
    """``content`` with the texts mended that stand in JSON."""
    changed = dict(content)
    for name in ("messages", "chosen", "rejected"):
        if content.get(name):
            changed[name] = [_json_message(message, fixer) for message in content[name]]
    return changed


def _json_message(message: dict[str, Any], fixer: TextFixer) -> dict[str, Any]:
    if message.get("tool_calls"):
        message = change_calls(message, fixer.change)
    if is_json(message["content"]):
        message = {**message, "content": change_strings(message["content"], fixer.change)}
    return message


def texts_of(content: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, text, role) of every text of a row that may be mended; JSON, such as what a tool said, is none."""
    if isinstance(content.get("text"), str) and "messages" not in content:
        yield "text", content["text"], "text"
    for name in ("messages", "chosen", "rejected"):
        for number, message in enumerate(content.get(name) or ()):
            for key in ("content", "reasoning_content"):
                text = message.get(key)
                if isinstance(text, str) and text and not is_json(text):
                    yield f"{name}[{number}].{key}", text, str(message["role"])


def is_json(content: str) -> bool:
    """Whether ``content`` is a JSON object or array as a whole."""
    inside = content.strip()
    if inside[:1] + inside[-1:] not in {"{}", "[]"}:
        return False
    try:
        json.loads(inside)
        return True
    except (ValueError, RecursionError):
        return False


def check_left(content: dict[str, Any], name: str) -> None:
    """Pass where every text still says something after the fixer ``name``, and two answers still differ.

    Raises:
        RowProblem: DATA-119 or DATA-143.
    """
    for place, text, role in _said(content):
        if role in _NEVER_BLANK and not text.strip():
            raise RowProblem("DATA-119", place, fixer=name)
    if "chosen" in content and content["chosen"] == content["rejected"]:
        raise RowProblem("DATA-143", "rejected")


def _said(content: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, text, role) of what a row must say; a turn that calls tools may say nothing."""
    if "text" in content and "messages" not in content:
        yield "text", content["text"], "text"
    for name in ("messages", "chosen", "rejected"):
        for number, message in enumerate(content.get(name) or ()):
            if not message.get("tool_calls"):
                yield f"{name}[{number}].content", message["content"], message["role"]


def _with_texts(content: dict[str, Any], after: dict[str, str]) -> dict[str, Any]:
    changed = dict(content)
    if "text" in content and "messages" not in content:
        changed["text"] = after[content["text"]]
    for name in ("messages", "chosen", "rejected"):
        if content.get(name):
            changed[name] = [_message(message, after) for message in content[name]]
    return changed


def _message(message: dict[str, Any], after: dict[str, str]) -> dict[str, Any]:
    keys = ("content", "reasoning_content")
    return {
        key: after.get(item, item) if key in keys and isinstance(item, str) else item
        for key, item in message.items()
    }
