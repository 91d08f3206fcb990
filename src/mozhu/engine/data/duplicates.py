"""Exact and near duplicates among many short texts.

Likely pairs (likely_pairs.py) are compared letter by letter (Myers 1999, bit-parallel edit distance).
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mozhu.engine.data.likely_pairs import likely_pairs
from mozhu.engine.data.spool import Spool

SIMILARITY = 0.9
_SHORTEST = 8
# Near is less than the same.
_NEARLY = 0.9999
# A sign before a number is part of what is said: 5 + 3 is not 5 - 3.
_NO_LETTERS = re.compile(r"(?:(?![-+*/=<>×÷%^]\s*\d)[\W_])+")
# Numbers, and words that turn a sentence into its opposite (their blanks and apostrophes are gone by then).
_NUMBERS = re.compile(r"[-+*/=<>×÷%^不没沒無无非未别別勿]|\d+")
_NEGATIONS = re.compile(r"not|never|(?:is|are|was|were|do|does|did|ca|wo|could|would|should)nt")

Likeness = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Text ``second`` says what ``first`` said before it; ``similarity`` 1.0 is the same letters."""

    first: int
    second: int
    similarity: float

    @property
    def exact(self) -> bool:
        return self.similarity == 1.0


class Duplicates:
    """Looks for duplicates among texts that are added one by one.

    Memory holds about forty bytes a text; the texts' letters and their signatures lie on disk where they are many.
    """

    def __init__(self, similarity: float = SIMILARITY) -> None:
        self.similarity = similarity
        self._letters = Spool()
        self._lengths, self._same, self._said = array("Q"), array("q"), array("q")

    def add(self, content: str, apart: Hashable = "") -> int:
        """Take in ``content``; returns its number. Texts with another ``apart`` are never its duplicates."""
        plain = letters(content)
        self._lengths.append(len(plain))
        self._same.append(hash((plain, apart)))
        self._said.append(hash((tuple(_turning(plain)), apart)))
        return self._letters.add(plain)

    def __len__(self) -> int:
        return len(self._letters)

    def pairs(self) -> Iterator[Pair]:
        """For every text that has one before it of at least the similarity: the most similar one.

        Exact ones name the first of their kind. Texts whose numbers or negations differ are different: "3 + 4" is not
        "3 + 5", "I can" is not "I cannot".
        Texts of fewer than eight letters are compared exactly, and those without any not at all.
        """
        if not len(self):
            return
        lengths = np.frombuffer(self._lengths, dtype=np.uint64).astype(np.int64)
        firsts, likeness = _exact(np.frombuffer(self._same, dtype=np.int64), lengths)
        kept = np.nonzero((firsts < 0) & (lengths >= _SHORTEST))[0]
        said = np.frombuffer(self._said, dtype=np.int64)
        left, before = -1, ""
        for first, second in likely_pairs(self._letters, lengths, said, kept):
            if first != left:
                left, before = first, self._letters[first]
            found = min(similarity(before, self._letters[second], self.similarity), _NEARLY)
            if found >= self.similarity and found > likeness[second]:
                firsts[second], likeness[second] = first, found
        for number in np.nonzero(firsts >= 0)[0].tolist():
            yield Pair(int(firsts[number]), number, float(likeness[number]))


def _exact(same: NDArray[np.int64], lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], Likeness]:
    """For every text the first that is the same, -1 without one; and 1.0 where there is one."""
    order = np.argsort(same, kind="stable")
    ordered = same[order]
    begins = order[np.searchsorted(ordered, ordered)]
    firsts = np.full(len(same), -1, dtype=np.int64)
    firsts[order] = begins
    firsts[(firsts == np.arange(len(same))) | (lengths == 0)] = -1
    return firsts, (firsts >= 0).astype(np.float64)


def letters(content: str) -> str:
    """``content`` without what light edits change: width, case, spaces and punctuation."""
    plain = content if content.isascii() else unicodedata.normalize("NFKC", content)
    return _NO_LETTERS.sub("", plain.casefold())


def similarity(first: str, second: str, least: float = 0.0) -> float:
    """1 minus the edit distance over the longer length.

    0 where numbers or negations differ, or where ``least`` cannot be reached.
    """
    longer = max(len(first), len(second))
    if not longer or abs(len(first) - len(second)) > (1 - least) * longer:
        return 1.0 if first == second else 0.0
    if _turning(first) != _turning(second):
        return 0.0
    return 1 - edit_distance(first, second) / longer


def _turning(plain: str) -> list[str]:
    """What two texts that say the same must share: their numbers and negations in order."""
    found = _NUMBERS.findall(plain)
    if "nt" in plain or "not" in plain or "never" in plain:
        found += _NEGATIONS.findall(plain)
    return found


def edit_distance(first: str, second: str) -> int:
    """How many letters must be put in, taken out or changed (Myers 1999; a whole column in one integer)."""
    while first and second and first[-1] == second[-1]:
        cut = 1
        while cut < min(len(first), len(second)) and first[-cut - 1] == second[-cut - 1]:
            cut += 1
        first, second = first[:-cut], second[:-cut]
    start = 0
    while start < min(len(first), len(second)) and first[start] == second[start]:
        start += 1
    first, second = first[start:], second[start:]
    if not first or not second:
        return len(first) + len(second)
    places: dict[str, int] = {}
    for place, letter in enumerate(first):
        places[letter] = places.get(letter, 0) | 1 << place
    full, last = (1 << len(first)) - 1, 1 << (len(first) - 1)
    plus, minus, distance = full, 0, len(first)
    for letter in second:
        same = places.get(letter, 0)
        vertical = same | minus
        diagonal = (((same & plus) + plus) ^ plus) | same
        rise, fall = (minus | ~(diagonal | plus)) & full, plus & diagonal
        distance += bool(rise & last) - bool(fall & last)
        rise, fall = (rise << 1 | 1) & full, (fall << 1) & full
        plus, minus = (fall | ~(vertical | rise)) & full, rise & vertical
    return distance
