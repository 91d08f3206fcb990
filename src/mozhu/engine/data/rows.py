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
        return _SURROGATE.search(value) is not None
    if isinstance(value, dict):
        return any(has_damaged_characters(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return any(has_damaged_characters(item) for item in value)
    return False


def reasons(rejected: Iterable[RejectedRow], *, most: int = 5) -> str:
    """The most frequent reasons, one a line: how often, the code, what is wrong and on which lines."""
    by_reason: dict[tuple[str, str], list[RejectedRow]] = {}
    for row in rejected:
        by_reason.setdefault((row.code, row.field), []).append(row)
    counts = Counter({key: len(rows) for key, rows in by_reason.items()})
    return "\n".join(_reason_line(by_reason[key]) for key, _ in counts.most_common(most))


def _reason_line(rows: list[RejectedRow]) -> str:
    first = rows[0]
    lines = ", ".join(str(row.line) for row in rows[:5]) + (" …" if len(rows) > 5 else "")
    what = text(f"data.{first.code}.what", **first.params)
    return text("data.reason", count=len(rows), code=first.code, what=what, lines=lines)
