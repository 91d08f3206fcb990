"""How many rows say again what another row says, inside each part and across parts."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mozhu.engine.data.duplicates import SIMILARITY, Duplicates, letters
from mozhu.engine.data.statistics.frequent import digest

Search = Literal["auto", "near", "exact", "none"]
# Near duplicates need all letters in memory; up to so many rows, `auto` looks for them.
MOST_NEAR = 200_000


@dataclass(frozen=True)
class Repeats:
    """Rows that repeat a row before them, by what was looked for (``near``, ``exact`` or ``none``).

    ``inside``: by part. ``across``: by ``part in part before it``, such as ``train/test``. ``questions``: rows
    whose first question another row before them asks in the same letters, whatever the answer.
    """

    method: str
    similarity: float
    rows: int
    exact: dict[str, dict[str, int]]
    near: dict[str, dict[str, int]]
    questions: int

    @property
    def total(self) -> int:
        return sum(sum(some.values()) for found in (self.exact, self.near) for some in found.values())

    def count(self, kind: str, where: str) -> int:
        found = self.exact if kind == "exact" else self.near
        return sum(found.get(where, {}).values())


@dataclass
class RepeatSearch:
    """Takes in rows one by one; of each keeps two hashes, and its letters while near duplicates are looked for."""

    search: Search = "auto"
    similarity: float = SIMILARITY
    most_near: int = MOST_NEAR
    _parts: list[str] = field(default_factory=list)
    _part: array[int] = field(default_factory=lambda: array("B"))
    _rows: array[int] = field(default_factory=lambda: array("Q"))
    _asked: array[int] = field(default_factory=lambda: array("Q"))
    _near: Duplicates | None = None

    def __post_init__(self) -> None:
        if self.search in ("auto", "near"):
            self._near = Duplicates(self.similarity)

    def add(self, part: str, whole: str, question: str) -> None:
        if self.search == "none":
            return
        if part not in self._parts:
            self._parts.append(part)
        self._part.append(self._parts.index(part))
        self._rows.append(_digest(whole))
        self._asked.append(_digest(question))
        if self._near is not None:
            self._near.add(whole)
            if self.search == "auto" and len(self._near) > self.most_near:
                self._near = None

    def found(self) -> Repeats:
        """Every repeating row is counted once, exact before near."""
        exact: Counter[tuple[int, int]] = Counter()
        near: Counter[tuple[int, int]] = Counter()
        for second, first in _again(self._rows):
            exact[self._part[second], self._part[first]] += 1
        if self._near is not None:
            for pair in self._near.pairs():
                if not pair.exact:
                    near[self._part[pair.second], self._part[pair.first]] += 1
        method = "none" if self.search == "none" else "exact" if self._near is None else "near"
        questions = sum(1 for _ in _again(self._asked))
        return Repeats(
            method, self.similarity, len(self._rows), self._by_part(exact), self._by_part(near), questions
        )

    def _by_part(self, counts: Counter[tuple[int, int]]) -> dict[str, dict[str, int]]:
        inside = {name: counts[place, place] for place, name in enumerate(self._parts)}
        across = {
            f"{self._parts[min(pair)]}/{self._parts[max(pair)]}": counts[pair] + counts[pair[::-1]]
            for pair in counts
            if pair[0] != pair[1]
        }
        return {"inside": inside, "across": dict(sorted(across.items()))}


def _digest(content: str) -> int:
    """0 for what has no letters at all: it repeats nothing."""
    said = letters(content)
    return digest(said) or 1 if said else 0


def _again(digests: array[int]) -> list[tuple[int, int]]:
    """(place, first place) of every hash that stood there before."""
    if not digests:
        return []
    values = np.frombuffer(digests, dtype=np.uint64)
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    firsts = first[inverse]
    places = np.nonzero((firsts != np.arange(len(values))) & (values != 0))[0]
    return list(zip(places.tolist(), firsts[places].tolist(), strict=True))
