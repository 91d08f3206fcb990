"""Which texts say what a text of a benchmark says: memory holds the benchmarks' texts only.

Likely pairs meet by their MinHash signatures (see likely_pairs.py) and are compared letter by letter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mozhu.engine.data.duplicates import letters, similarity
from mozhu.engine.data.likely_pairs import signatures

_SHORTEST, _SHORT = 8, 64
_GRAMS = {3: (_SHORTEST, _SHORT), 5: (_SHORTEST, 1 << 62)}
_ROWS_A_BAND = 3
_COMPARED = 16


@dataclass
class Overlap:
    """Texts are added with the name of their place; then others are looked up, as often as wanted.

    Texts of fewer than eight letters are compared exactly, and those whose numbers differ are different.
    """

    least: float
    _places: list[str] = field(default_factory=list)
    _letters: list[str] = field(default_factory=list)
    _same: dict[str, int] = field(default_factory=dict)
    _bands: dict[int, dict[tuple[int, int], list[int]]] = field(default_factory=dict)

    def add(self, contents: Sequence[str], places: Sequence[str]) -> None:
        """Take in ``contents``, each with the name of its place."""
        plain = [letters(content) for content in contents]
        first = len(self._letters)
        for number, text in enumerate(plain, first):
            if text:
                self._same.setdefault(text, number)
        self._letters += plain
        self._places += places
        for gram, number, band in _banded(plain):
            self._bands.setdefault(gram, {}).setdefault(band, []).append(first + number)

    def find(self, contents: Sequence[str]) -> list[tuple[str, float] | None]:
        """For each text the place of the one that it says again and how alike both are, or ``None``."""
        plain = [letters(content) for content in contents]
        met: list[dict[int, int]] = [{} for _ in plain]
        for gram, number, band in _banded(plain):
            for other in self._bands.get(gram, {}).get(band, ()):
                met[number][other] = met[number].get(other, 0) + 1
        return [self._closest(text, found) for text, found in zip(plain, met)]

    def _closest(self, text: str, met: dict[int, int]) -> tuple[str, float] | None:
        if text in self._same:
            return self._places[self._same[text]], 1.0
        most = sorted(met, key=lambda other: (-met[other], other))[:_COMPARED]
        likeness, other = max(
            ((similarity(self._letters[n], text, self.least), -n) for n in most), default=(0.0, 0)
        )
        return (self._places[-other], likeness) if likeness >= self.least else None


def _banded(texts: Sequence[str]) -> list[tuple[int, int, tuple[int, int]]]:
    """(gram, number of the text, (band, key)) of every text that is long enough."""
    found = []
    for gram, (shortest, longest) in _GRAMS.items():
        chosen = [number for number, text in enumerate(texts) if shortest <= len(text) <= longest]
        if chosen:
            keys = _keys(signatures([texts[number] for number in chosen], gram))
            found += [
                (gram, number, (band, key))
                for band, row in enumerate(keys.tolist())
                for number, key in zip(chosen, row)
            ]
    return found


def _keys(signed: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """One number for each band of each text, shape (bands, texts)."""
    parts = signed.astype(np.uint64).reshape(-1, _ROWS_A_BAND, signed.shape[1])
    mixed = parts[:, 0]
    for row in range(1, _ROWS_A_BAND):
        mixed = (mixed * np.uint64(0x9E3779B97F4A7C15)) ^ (parts[:, row] + (mixed >> np.uint64(29)))
    return mixed
