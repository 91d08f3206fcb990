"""Exact and near duplicates among many short texts.

MinHash signatures (Broder 1997) over character n-grams, banded so that likely pairs meet (Leskovec, Rajaraman,
Ullman, ch. 3); every pair that met is then compared letter by letter (Myers 1999, bit-parallel edit distance).
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

SIMILARITY = 0.9
_ROWS_A_BAND, _BANDS = 3, 32
_PERMUTATIONS = _ROWS_A_BAND * _BANDS
_GRAM, _SHORT_GRAM = 5, 3
_SHORTEST, _SHORT = 8, 64
_BLOCK_LETTERS = 1 << 17
_WINDOW = 16
_SIEVE = 0.25
_FIRST_ROWS = 24
_COMPARED = 4
# A sign before a number is part of what is said: 5 + 3 is not 5 - 3.
_NO_LETTERS = re.compile(r"(?:(?![-+*/=<>×÷%^]\s*\d)[\W_])+")
_NUMBERS = re.compile(r"[-+*/=<>×÷%^]|\d+")
_SHIFT = np.uint64(32)

Numbers = NDArray[np.uint32]


@dataclass(frozen=True)
class Pair:
    """Text ``second`` says what ``first`` said before it; ``similarity`` 1.0 is the same letters."""

    first: int
    second: int
    similarity: float

    @property
    def exact(self) -> bool:
        return self.similarity == 1.0


@dataclass
class Duplicates:
    """Looks for duplicates among texts that are added one by one; keeps their letters only."""

    similarity: float = SIMILARITY
    _letters: list[str] = field(default_factory=list)

    def add(self, content: str) -> int:
        """Take in ``content``; returns its number."""
        self._letters.append(letters(content))
        return len(self._letters) - 1

    def __len__(self) -> int:
        return len(self._letters)

    def pairs(self) -> Iterator[Pair]:
        """For every text that has one before it of at least the similarity: the most similar one.

        Exact ones name the first of their kind. Texts whose numbers differ are different: "3 + 4" is not "3 + 5".
        Texts of fewer than eight letters are compared exactly.
        """
        first_of: dict[str, int] = {}
        unique = array("q")
        best: dict[int, Pair] = {}
        for number, content in enumerate(self._letters):
            first = first_of.setdefault(content, number)
            if first == number:
                unique.append(number)
            elif content:
                best[number] = Pair(first, number, 1.0)
        kept = [self._letters[number] for number in unique]
        for left, right in _likely_pairs(kept):
            likeness = similarity(kept[left], kept[right], self.similarity)
            if likeness >= self.similarity:
                known = best.get(unique[right])
                if known is None or known.similarity < likeness:
                    best[unique[right]] = Pair(unique[left], unique[right], min(likeness, 0.9999))
        for number in sorted(best):
            yield best[number]


def letters(content: str) -> str:
    """``content`` without what light edits change: width, case, spaces and punctuation."""
    plain = content if content.isascii() else unicodedata.normalize("NFKC", content)
    return _NO_LETTERS.sub("", plain.casefold())


def similarity(first: str, second: str, least: float = 0.0) -> float:
    """1 minus the edit distance over the longer length; 0 where numbers differ or ``least`` cannot be reached."""
    longer = max(len(first), len(second))
    if not longer or abs(len(first) - len(second)) > (1 - least) * longer:
        return 1.0 if first == second else 0.0
    if _NUMBERS.findall(first) != _NUMBERS.findall(second):
        return 0.0
    return 1 - edit_distance(first, second) / longer


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


def _likely_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Numbers of texts that share many n-grams, the smaller first, in order; each pair once."""
    said = np.array([hash(tuple(_NUMBERS.findall(text))) for text in texts], dtype=np.int64)
    long = np.array([i for i, text in enumerate(texts) if len(text) > _SHORTEST], dtype=np.int64)
    short = np.array([i for i, text in enumerate(texts) if _SHORTEST <= len(text) <= _SHORT], dtype=np.int64)
    found = [_meet(texts, said, long, _GRAM), _meet(texts, said, short, _SHORT_GRAM)]
    for key in np.unique(np.concatenate(found)).tolist():
        yield divmod(key, len(texts))


def _meet(
    texts: Sequence[str], said: NDArray[np.int64], chosen: NDArray[np.int64], gram: int
) -> NDArray[np.int64]:
    """The pairs of ``chosen`` texts that share a band of their signatures, as ``first * count + second``.

    ``said`` is a hash of each text's numbers: those of a pair must be equal.
    """
    count = len(texts)
    if len(chosen) < 2:
        return np.empty(0, dtype=np.int64)
    signed = signatures([texts[i] for i in chosen], gram)
    keys: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    for band in range(_BANDS):
        part = signed[band * _ROWS_A_BAND : (band + 1) * _ROWS_A_BAND].astype(np.uint64)
        mixed = part[0]
        for row in part[1:]:
            mixed = (mixed * np.uint64(0x9E3779B97F4A7C15)) ^ (row + (mixed >> np.uint64(29)))
        order = np.argsort(mixed, kind="stable")
        ordered = mixed[order]
        fresh = []
        for step in range(1, _WINDOW + 1):
            same = np.nonzero(ordered[step:] == ordered[:-step])[0]
            if not len(same):
                break
            left, right = order[same], order[same + step]
            equal = said[chosen[left]] == said[chosen[right]]
            left, right = _alike(signed, left[equal], right[equal])
            fresh.append(chosen[left] * count + chosen[right])
        keys = np.unique(np.concatenate([keys, *fresh]))
    return _closest(signed, chosen, keys, count)


def _closest(
    signed: Numbers, chosen: NDArray[np.int64], keys: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """The few pairs of each second text whose signatures agree most: rows of one template meet by the thousand."""
    left, right = np.divmod(keys, count)
    close = np.zeros(len(keys), dtype=np.int64)
    first, second = np.searchsorted(chosen, left), np.searchsorted(chosen, right)
    for row in signed:
        close += row[first] == row[second]
    order = np.lexsort((-close, right))
    ordered = right[order]
    begins = np.searchsorted(ordered, ordered)
    return keys[order[np.arange(len(order)) - begins < _COMPARED]]


def _alike(
    signed: Numbers, left: NDArray[np.int64], right: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs whose signatures agree often enough, first in a few rows, then in all."""
    for rows, least in ((signed[:_FIRST_ROWS], _SIEVE / 2), (signed, _SIEVE)):
        close = np.zeros(len(left), dtype=np.uint8)
        for row in rows:
            close += row[left] == row[right]
        good = close >= least * len(rows)
        left, right = left[good], right[good]
    return left, right


def signatures(texts: Sequence[str], gram: int) -> Numbers:
    """The smallest hash of each text's n-grams under every permutation, shape (permutations, texts), uint32.

    Every text has at least ``gram`` characters.
    """
    factors = np.random.default_rng(20).integers(1, 2**63, size=_PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
    offsets = np.random.default_rng(21).integers(0, 2**63, size=_PERMUTATIONS, dtype=np.uint64)
    signed = np.empty((_PERMUTATIONS, len(texts)), dtype=np.uint32)
    start = 0
    while start < len(texts):
        end, size = start, 0
        while end < len(texts) and (end == start or size + len(texts[end]) <= _BLOCK_LETTERS):
            size += len(texts[end])
            end += 1
        hashes, starts = _grams(texts[start:end], gram)
        for place in range(_PERMUTATIONS):
            mixed = hashes * factors[place]
            mixed += offsets[place]
            signed[place, start:end] = np.minimum.reduceat(mixed, starts) >> _SHIFT
        start = end
    return signed


def _grams(texts: Sequence[str], gram: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hashes of all n-grams of ``texts`` end to end, and where each text's begin."""
    points = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(
        np.uint64
    )
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    ends = np.cumsum(lengths)
    inside = np.ones(len(points), dtype=bool)
    for back in range(1, gram):
        inside[ends - back] = False
    size = len(points) - gram + 1
    rolled = np.zeros(size, dtype=np.uint64)
    for step in range(gram):
        rolled = rolled * np.uint64(0x100000001B3) + points[step : step + size]
    rolled ^= rolled >> np.uint64(31)
    rolled *= np.uint64(0xBF58476D1CE4E5B9)
    rolled ^= rolled >> np.uint64(29)
    counts = lengths - (gram - 1)
    return rolled[inside[:size]], np.cumsum(counts) - counts
