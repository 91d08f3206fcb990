"""What a reader hands on: a row as it stands in the file, or the reason why it cannot be used."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mozhu.kernel.texts import text
from mozhu.specs.records.snapshot import RejectedRow

EXCERPT_CHARS = 80
_SHOWN_LINES = 5
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class RawRow:
    """One row as read. ``line`` is the line of ``file`` on which it begins, from 1."""

    file: str
    line: int
    value: Any


class RowProblem(Exception):
    """Why a row cannot be used; ``reject`` turns it into a rejected row. ``code`` is one of DATA-1xx."""

    def __init__(self, code: str, field: str, **params: Any) -> None:
        self.code, self.field, self.params = code, field, params
        super().__init__(code, field, params)


def reject(row: RawRow, problem: RowProblem) -> RejectedRow:
    """``row`` as a rejected row with its file, line, field, reason and the way to mend it."""
    params = {"field": problem.field, **problem.params}
    return RejectedRow(
        file=row.file,
        line=row.line,
        field=problem.field,
        code=problem.code,
        params=params,
        excerpt=excerpt(row.value),
        fix=text(f"data.{problem.code}.next", **params),
    )


def excerpt(value: Any) -> str:
    """At most 80 characters of ``value`` on one line, safe to write as UTF-8."""
    whole = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    line = _SURROGATE.sub("\ufffd", " ".join(whole.split()))
    return line if len(line) <= EXCERPT_CHARS else line[: EXCERPT_CHARS - 1] + "…"


def has_damaged_characters(value: Any) -> bool:
    """Whether any string in ``value`` holds half a character, which no UTF-8 file can hold."""
    if isinstance(value, str):
        return not value.isascii() and _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        for name, item in value.items():
            if has_damaged_characters(name) or has_damaged_characters(item):
                return True
    elif isinstance(value, list):
        return any(map(has_damaged_characters, value))
    return False


class Tally:
    """How many rows were rejected for which reason, with the first of each; no more of them is kept."""

    def __init__(self, rejected: Iterable[RejectedRow] = ()) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._first: dict[tuple[str, str], list[RejectedRow]] = {}
        for row in rejected:
            self.add(row)

    @property
    def total(self) -> int:
        return self.counts.total()

    def add(self, row: RejectedRow) -> None:
        key = (row.code, row.field)
        self.counts[key] += 1
        first = self._first.setdefault(key, [])
        if len(first) < _SHOWN_LINES:
            first.append(row)

    def reasons(self, *, most: int = 5) -> str:
        """The most frequent reasons, one a line: how often, the code, what is wrong and on which lines."""
        return "\n".join(self._line(key, count) for key, count in self.counts.most_common(most))

    def _line(self, key: tuple[str, str], count: int) -> str:
        rows = self._first[key]
        lines = ", ".join(str(row.line) for row in rows) + (" …" if count > len(rows) else "")
        what = text(f"data.{rows[0].code}.what", **rows[0].params)
        return text("data.reason", count=count, code=rows[0].code, what=what, lines=lines)


def reasons(rejected: Iterable[RejectedRow], *, most: int = 5) -> str:
    """The most frequent reasons of ``rejected``, as :class:`Tally` writes them."""
    return Tally(rejected).reasons(most=most)
