"""Pairs of texts that are likely to be alike, found without comparing every text with every other.

MinHash signatures (Broder 1997) over character n-grams, banded so that likely pairs meet (Leskovec, Rajaraman,
Ullman, ch. 3). Signatures lie on disk where they are many.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mozhu.engine.data.spool import Spool

_ROWS_A_BAND, _BANDS = 3, 32
_PERMUTATIONS = _ROWS_A_BAND * _BANDS
_GRAM, _SHORT_GRAM, _SHORT = 5, 3, 64
_BLOCK_LETTERS = 1 << 17
_TEXTS_READ = 1024
_WINDOW = 16
_SIEVE = 0.25
_FIRST_ROWS = 24
_COMPARED = 4
_PAIRS_AT_ONCE = 1 << 14
_IN_MEMORY_BYTES = 64 << 20
_SHIFT = np.uint64(32)

Numbers = NDArray[np.uint32]
Places = NDArray[np.int64]


def likely_pairs(texts: Spool, lengths: Places, said: Places, chosen: Places) -> Iterator[tuple[int, int]]:
    """Numbers of ``chosen`` texts that share many n-grams, the smaller first, in order; each pair once.

    ``said`` is a hash for each text: those of a pair must be equal.
    """
    long = chosen[lengths[chosen] >= _GRAM]
    short = chosen[lengths[chosen] <= _SHORT]
    found = [_meet(texts, lengths, said, long, _GRAM), _meet(texts, lengths, said, short, _SHORT_GRAM)]
    last = -1
    for key in np.sort(np.concatenate(found)).tolist():
        if key != last:
            yield divmod(key, len(texts))
        last = key


def _meet(texts: Spool, lengths: Places, said: Places, chosen: Places, gram: int) -> Places:
    """The pairs of ``chosen`` that share a band of their signatures, as ``first * count + second``."""
    if len(chosen) < 2:
        return np.empty(0, dtype=np.int64)
    signed, said = _Signed(texts, lengths, chosen, gram), said[chosen]
    count = len(chosen)
    keys: Places = np.empty(0, dtype=np.int64)
    for band in range(_BANDS):
        mixed = signed.band(band)
        order = np.argsort(mixed, kind="stable")
        ordered = mixed[order]
        met = []
        for step in range(1, _WINDOW + 1):
            same = np.nonzero(ordered[step:] == ordered[:-step])[0]
            if not len(same):
                break
            left, right = order[same], order[same + step]
            equal = said[left] == said[right]
            met.append(left[equal] * count + right[equal])
        if met:
            fresh = _not_in(keys, np.concatenate(met))
            keys = np.sort(np.concatenate([keys, fresh[signed.alike(fresh)]]))
    left, right = np.divmod(_closest(signed, keys, count), count)
    return chosen[left] * len(texts) + chosen[right]


def _not_in(known: Places, some: Places) -> Places:
    """``some`` without those that stand in the sorted ``known``; no two bands give a pair twice within one."""
    if not len(known):
        return some
    at = np.minimum(np.searchsorted(known, some), len(known) - 1)
    return some[known[at] != some]


def _closest(signed: _Signed, keys: Places, count: int) -> Places:
    """The few pairs of each second text whose signatures agree most: rows of one template meet by the thousand."""
    right = keys % count
    order = np.lexsort((-signed.agreement(keys), right))
    ordered = right[order]
    begins = np.searchsorted(ordered, ordered)
    return keys[order[np.arange(len(order)) - begins < _COMPARED]]


class _Signed:
    """The signatures of the chosen texts, one a row, and the keys of their bands, one band a row."""

    def __init__(self, texts: Spool, lengths: Places, chosen: Places, gram: int) -> None:
        self._count = len(chosen)
        self._rows = _Table((self._count, _PERMUTATIONS))
        self._bands = _Table((_BANDS, self._count))
        start = 0
        for block in _blocks(texts, lengths, chosen):
            signed, end = signatures(block, gram), start + len(block)
            self._rows.put(slice(start, end), signed.T)
            self._bands.put((slice(None), slice(start, end)), _band_keys(signed))
            start = end

    def band(self, number: int) -> Numbers:
        return self._bands.take(number)

    def alike(self, keys: Places) -> NDArray[np.bool_]:
        """Which pairs' signatures agree often enough, first in a few rows, then in all."""
        few = self.agreement(keys, _FIRST_ROWS) >= _SIEVE / 2 * _FIRST_ROWS
        few[few] = self.agreement(keys[few]) >= _SIEVE * _PERMUTATIONS
        return few

    def agreement(self, keys: Places, rows: int = _PERMUTATIONS) -> Places:
        """In how many of the first ``rows`` places the signatures of each pair are the same."""
        agreed = np.empty(len(keys), dtype=np.int64)
        for start in range(0, len(keys), _PAIRS_AT_ONCE):
            left, right = np.divmod(keys[start : start + _PAIRS_AT_ONCE], self._count)
            first, second = self._rows.take((left, slice(rows))), self._rows.take((right, slice(rows)))
            agreed[start : start + len(left)] = np.count_nonzero(first == second, axis=1)
        return agreed


class _Table:
    """Numbers in memory, or on disk where they are many; then no more than is asked for is mapped."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        self._memory: Numbers | None = None
        if 4 * shape[0] * shape[1] <= _IN_MEMORY_BYTES:
            self._memory = np.empty(shape, dtype=np.uint32)
        else:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 (gone with self)
            self._file.truncate(4 * shape[0] * shape[1])

    def put(self, place: Any, values: Numbers) -> None:
        self._whole()[place] = values

    def take(self, place: Any) -> Numbers:
        return np.array(self._whole()[place])

    def _whole(self) -> Numbers:
        """All of it; a map is made anew each time, so that what was read does not stay."""
        if self._memory is not None:
            return self._memory
        return np.memmap(self._file, dtype=np.uint32, mode="r+", shape=self._shape)


def _blocks(texts: Spool, lengths: Places, chosen: Places) -> Iterator[list[str]]:
    """The chosen texts in their order, about :data:`_BLOCK_LETTERS` at a time."""
    block: list[str] = []
    size = 0
    for start in range(0, len(texts), _TEXTS_READ):
        low, high = np.searchsorted(chosen, (start, start + _TEXTS_READ))
        numbers = chosen[low:high].tolist()
        read = texts.between(start, start + _TEXTS_READ) if numbers else []
        for number in numbers:
            block.append(read[number - start])
            size += int(lengths[number])
            if size >= _BLOCK_LETTERS:
                yield block
                block, size = [], 0
    if block:
        yield block


def _band_keys(signed: Numbers) -> Numbers:
    """One number for each band of each text, shape (bands, texts)."""
    parts = signed.astype(np.uint64).reshape(_BANDS, _ROWS_A_BAND, -1)
    mixed = parts[:, 0]
    for row in range(1, _ROWS_A_BAND):
        mixed = (mixed * np.uint64(0x9E3779B97F4A7C15)) ^ (parts[:, row] + (mixed >> np.uint64(29)))
    return ((mixed * np.uint64(0xBF58476D1CE4E5B9)) >> _SHIFT).astype(np.uint32)


def signatures(texts: Sequence[str], gram: int) -> Numbers:
    """The smallest hash of each text's n-grams under every permutation, shape (permutations, texts), uint32.

    Every text has at least ``gram`` characters.
    """
    factors = np.random.default_rng(20).integers(1, 2**63, size=_PERMUTATIONS, dtype=np.uint64) | np.uint64(1)
    offsets = np.random.default_rng(21).integers(0, 2**63, size=_PERMUTATIONS, dtype=np.uint64)
    signed = np.empty((_PERMUTATIONS, len(texts)), dtype=np.uint32)
    hashes, starts = _grams(texts, gram)
    for place in range(_PERMUTATIONS):
        mixed = hashes * factors[place]
        mixed += offsets[place]
        signed[place] = np.minimum.reduceat(mixed, starts) >> _SHIFT
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
