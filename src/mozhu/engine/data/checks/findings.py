"""What a check found: in which row, file, line and field, how bad it is, and how to mend it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mozhu.engine.data.rows import RawRow, excerpt
from mozhu.kernel.texts import text

AROUND_CHARS = 24


@dataclass(frozen=True)
class Hit:
    """Something found in one text. ``excerpt`` shows the place, with private data masked."""

    code: str
    level: str
    excerpt: str
    params: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class RowFinding:
    """A hit with its place. ``line`` counts from 1; ``field`` is the name in the user's own file."""

    code: str
    level: str
    row_id: str
    file: str
    line: int
    field: str
    excerpt: str
    part: str = ""
    params: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def reason(self) -> str:
        return self._text("what")

    @property
    def fix(self) -> str:
        return self._text("next")

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "reason": self.reason, "fix": self.fix}

    def _text(self, part: str) -> str:
        area = self.code.split("-")[0].lower()
        return text(f"{area}.{self.code}.{part}", **{"field": self.field, **self.params})


def around(content: str, start: int, end: int) -> str:
    """The text from ``start`` to ``end`` with a little on both sides, on one line of at most 80 characters."""
    left, right = max(0, start - AROUND_CHARS), min(len(content), end + AROUND_CHARS)
    shown = ("…" if left else "") + content[left:right] + ("…" if right < len(content) else "")
    return excerpt(shown)


def fields_inside(row: RawRow, content: str) -> list[tuple[str, str]]:
    """The fields of the row as read that became ``content``: one that is all of it, else those within it.

    Each as its path, such as ``conversations[1].value``, and its text.
    """
    wanted = content.strip()
    within = []
    for path, leaf in _leaves(row.value, ""):
        if leaf.strip() == wanted:
            return [(path, leaf)]
        if leaf.strip() and leaf.strip() in wanted:
            within.append((path, leaf))
    return within


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path or "text", value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _leaves(item, f"{path}[{number}]")
