"""Rows that say what an earlier row, or a benchmark, says: found while rows go by, so that they can be left out."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from mozhu.engine.data.dataset import Reading, open_rows
from mozhu.engine.data.duplicates import Duplicates, letters, similarity
from mozhu.engine.data.overlap import Overlap
from mozhu.engine.data.rows import RowProblem, Tally
from mozhu.engine.data.spool import Spool
from mozhu.kernel.errors import NoUsableRows
from mozhu.kernel.files import json_line
from mozhu.specs.records.snapshot import RejectedRow

COPY, NEAR_COPY, IN_BENCHMARK = "DATA-160", "DATA-161", "DATA-162"
_AT_ONCE = 256
# Lines that two near copies have at the same place are at least this much alike.
_LEAST_LINE, _SHORT_LINE = 0.6, 4
_TURN, _LINE = "\x1e", "\n"


def find_copies(how: str, least: float, against: Sequence[str]) -> Copies:
    """An empty look-out for copies, with the rows of the benchmarks ``against`` in it."""
    copies = Copies(how, least)
    for ref in against:
        copies.read_benchmark(ref)
    return copies


class Copies:
    """``add`` every row in its order; ``found`` then says which are to go and why.

    ``how`` is ``exact`` (the same messages, blanks apart), ``near`` (every message at least ``least`` the same) or
    ``keep``. Another label, another preference, other images or tools make another row. The first of each kind
    stays, and every row that goes is a copy of one that stays. Memory holds about a hundred bytes a row and the
    texts of the benchmarks; places and letters of the rows lie on disk where they are many.
    """

    def __init__(self, how: str, least: float) -> None:
        self.how, self.least = how, least
        self.benchmark_rows = 0
        self._whole, self._asked = Overlap(least), Overlap(least)
        self._waiting: list[dict[str, Any]] = []
        self._places = Spool()
        self._digests = array("Q")
        self._gone: dict[int, RowProblem] = {}
        self._duplicates = Duplicates(least)
        self._said = Spool()

    def read_benchmark(self, ref: str) -> None:
        """Take in the test rows of ``ref``, or all where it has no parts.

        Raises:
            NoUsableRows: DATA-003. What :func:`~mozhu.engine.data.dataset.open_rows` raises.
        """
        before, rejected = self.benchmark_rows, Tally()
        for found in open_rows(ref, Reading(stage=None), part="test").with_values():
            if isinstance(found, RejectedRow):
                rejected.add(found)
                continue
            raw, row, _, _ = found
            place = [f"{raw.file}:{raw.line} ({row['row_id']})"]
            turns = _turns(row)
            self._whole.add([_LINE.join(turns)], place)
            self._asked.add(turns[:1], place)
            self.benchmark_rows += 1
        if self.benchmark_rows == before:
            raise NoUsableRows(path=ref, count=rejected.total, reasons=rejected.reasons() or "-")

    def add(self, row: dict[str, Any], file: str, line: int) -> None:
        self._places.add(f"{file}:{line} ({row['row_id']})")
        self._waiting.append(row)
        if len(self._waiting) >= _AT_ONCE:
            self._look()

    def found(self) -> dict[int, RowProblem]:
        """Why a row is to go, by its number in the order of :meth:`add`."""
        self._look()
        copies = self._exact_copies() if self.how != "keep" else {}
        if self.how == "near":
            self._find_near(copies)
        for number, first in copies.items():
            same = RowProblem(COPY, "", other=self._places[first])
            self._gone.setdefault(number, self._gone.get(first, same))
        return dict(sorted(self._gone.items()))

    def _look(self) -> None:
        rows, self._waiting = self._waiting, []
        first = len(self._places) - len(rows)
        turns = [_turns(row) for row in rows]
        self._find_overlap(first, turns)
        for number, (row, said) in enumerate(zip(rows, turns), first):
            if self.how != "keep":
                self._digests.append(_digest(row))
            if self.how == "near":
                if number in self._gone:
                    said = []
                self._duplicates.add(_LINE.join(said), _apart(row))
                self._said.add(
                    _TURN.join(_LINE.join(letters(line) for line in turn.split("\n")) for turn in said)
                )

    def _find_overlap(self, first: int, turns: list[list[str]]) -> None:
        if not self.benchmark_rows:
            return
        whole = self._whole.find([_LINE.join(said) for said in turns])
        asked = self._asked.find([said[0] if said else "" for said in turns])
        for number, found in enumerate(zip(whole, asked), first):
            match = max((some for some in found if some), key=lambda some: some[1], default=None)
            if match:
                params = {"other": match[0], "similarity": f"{match[1]:.0%}"}
                self._gone[number] = RowProblem(IN_BENCHMARK, "", **params)

    def _exact_copies(self) -> dict[int, int]:
        """The first row of its kind for every later one."""
        digests = np.array(self._digests, dtype=np.uint64)
        order = np.argsort(digests, kind="stable")
        ordered = digests[order]
        begins = np.searchsorted(ordered, ordered)
        later = np.nonzero(begins != np.arange(len(order)))[0]
        return dict(zip(order[later].tolist(), order[begins[later]].tolist()))

    def _find_near(self, copies: dict[int, int]) -> None:
        """Each pair in the order of its second row, whose first is known to stay or to go by then."""
        stands_for = dict(copies)
        for pair in self._duplicates.pairs():
            first = stands_for.get(pair.first, pair.first)
            if pair.second in self._gone or pair.second in copies or first in self._gone:
                continue
            if (likeness := self._likeness(first, pair.second)) >= self.least:
                stands_for[pair.second] = first
                params = {"other": self._places[first], "similarity": f"{likeness:.0%}"}
                self._gone[pair.second] = RowProblem(NEAR_COPY, "", **params)

    def _likeness(self, first: int, second: int) -> float:
        """How alike the two rows are where they are least alike: a long text must not hide another question."""
        mine, other = self._said[first].split(_TURN), self._said[second].split(_TURN)
        if len(mine) != len(other):
            return 0.0
        return min(_turn_likeness(one, two, self.least) for one, two in zip(mine, other))


def _turn_likeness(first: str, second: str, least: float) -> float:
    lines = [[line for line in turn.split(_LINE) if line] for turn in (first, second)]
    if len(lines[0]) == len(lines[1]) > 1:
        for one, two in zip(*lines):
            is_short = max(len(one), len(two)) <= _SHORT_LINE
            if not is_short and similarity(one, two) < _LEAST_LINE:
                return 0.0
    return similarity("".join(lines[0]), "".join(lines[1]), least)


def _turns(row: dict[str, Any]) -> list[str]:
    """What is said in a row, turn by turn, without the system's; a preference's two answers are its last."""
    if "messages" not in row:
        return [str(row["text"])]
    said = [message for message in row["messages"] if message["role"] != "system"]
    for name in ("chosen", "rejected"):
        said += row.get(name) or ()
    return [_text(message) for message in said]


def _text(message: dict[str, Any]) -> str:
    calls = message.get("tool_calls")
    content = str(message["content"])
    return content + json_line(calls).decode("utf-8") if calls else content


def _apart(row: dict[str, Any]) -> str:
    """What makes two rows different whatever their texts: label, images and whether there is a preference."""
    return repr((row.get("label"), row.get("images"), "chosen" in row))


def _digest(row: dict[str, Any]) -> int:
    content = {key: _plain(item) for key, item in row.items() if key not in {"row_id", "source"}}
    if "messages" in row:
        content.pop("text", None)
    digest = hashlib.blake2b(json_line(dict(sorted(content.items()))), digest_size=8).digest()
    return int.from_bytes(digest, "big")


def _plain(value: Any) -> Any:
    """``value`` with every run of blanks in its texts as one."""
    if isinstance(value, str):
        return " ".join(value.split())
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in sorted(value.items())}
    return [_plain(item) for item in value] if isinstance(value, list) else value
