"""What a row has under the field that a split goes by: a field of its own, or one that is told from its content."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from typing import Any

from mozhu.engine.data.checks.languages import language_of
from mozhu.engine.data.rows import RawRow
from mozhu.engine.data.split import number_of
from mozhu.kernel.errors import NoSplitField

KNOWN = ("label", "language", "source", "length")
_SHOWN = 8
_LENGTHS = (64, 256, 1024, 4096, 16384)


class SplitField:
    """The values of ``name`` row by row as numbers, and the first lines without one; ``named`` keeps each value too.

    A field of the row as it was read comes first, with dots for fields within (``meta.patient``); else ``label``,
    ``language`` (zh, en, other), ``source`` (the file) and ``length`` (steps of characters) are told from the row.
    """

    def __init__(self, name: str, flag: str, seed: int, *, named: bool) -> None:
        self.name, self.flag, self._seed, self._named = name, flag, seed, named
        self.numbers = array("Q")
        self.values: dict[int, str] = {}
        self._missing: list[str] = []
        self._count = 0
        self._found: list[str] = []

    def add(self, raw: RawRow, row: dict[str, Any]) -> None:
        value = value_of(raw.value, row, self.name)
        if not self._found and isinstance(raw.value, dict):
            self._found = [str(name) for name in raw.value]
        if value is None:
            self._count += 1
            if len(self._missing) < _SHOWN:
                place = f"{raw.file}:{raw.line}"  # rows of a JSON array may stand on one line
                self._missing.append(f"{place} ({row['row_id']})" if place in self._missing else place)
            value = ""
        number = number_of(value, self._seed)
        self.numbers.append(number)
        if self._named:
            self.values.setdefault(number, value)

    def check(self) -> None:
        """Pass where every row has a value.

        Raises:
            NoSplitField: DATA-043 with the first lines of those that have none.
        """
        if not self._count:
            return
        more = " …" if self._count > len(self._missing) else ""
        raise NoSplitField(
            field=self.name,
            flag=self.flag,
            count=self._count,
            total=len(self.numbers),
            lines=", ".join(self._missing) + more,
            known=list(KNOWN),
            found=self._found or ["-"],
        )

    def absent(self, parts: dict[str, Counter[int]]) -> list[str]:
        """The values that some part has no row of, the most frequent first, each with its number of rows.

        ``parts`` counts the rows of each value in each part.
        """
        sizes: Counter[int] = sum(parts.values(), Counter())
        some = [number for number in sizes if any(number not in counts for counts in parts.values())]
        some.sort(key=lambda number: (-sizes[number], self.values[number]))
        return [f"{self.values[number]} ({sizes[number]})" for number in some]


def value_of(value: Any, row: dict[str, Any], name: str) -> str | None:
    """The value of one row as text; ``None`` where there is none, or a list or an object."""
    own = _own(value, name)
    if own is not None or name not in KNOWN:
        return own
    return _told(row, name)


def _own(value: Any, name: str) -> str | None:
    found = value.get(name) if isinstance(value, dict) else None
    if found is None and "." in name and isinstance(value, dict):
        found = value
        for step in name.split("."):
            found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, float):  # tables turn 7 into 7.0 where some cell is empty, and write NaN there
        return None if math.isnan(found) else f"{found:g}" if found.is_integer() else repr(found)
    if isinstance(found, (str, int)):
        return str(found).strip() or None
    return None


def _told(row: dict[str, Any], name: str) -> str | None:
    if name == "label":
        return None if row.get("label") is None else str(row["label"])
    if name == "source":
        return str(row["source"]["file"])
    contents = [str(message["content"]) for message in (*row.get("messages", ()), *row.get("chosen", ()))]
    whole = "\n".join(contents) if "messages" in row else str(row.get("text", ""))
    if name == "language":
        return language_of(whole) or "other"
    return next((f"<{most}" for most in _LENGTHS if len(whole) < most), f"≥{_LENGTHS[-1]}")
