"""Lengths of many things, counted: every number drawn from them is exact, and memory grows with the longest only."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass, field

_MOST_BINS, _LEAST_BINS = 40, 8
_TAIL = 0.995
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class LengthSummary:
    """Percentiles are nearest-rank: lengths that occur."""

    count: int
    total: int
    min: int
    mean: float
    p50: int
    p90: int
    p95: int
    p99: int
    max: int


@dataclass(frozen=True)
class Bin:
    """How many lengths lie between ``low`` and ``high``, both counted in."""

    low: int
    high: int
    count: int


@dataclass
class Lengths:
    """How often each length occurs."""

    counts: Counter[int] = field(default_factory=Counter)

    def add(self, length: int) -> None:
        self.counts[length] += 1

    def update(self, other: Lengths) -> None:
        self.counts.update(other.counts)

    @property
    def count(self) -> int:
        return self.counts.total()

    @property
    def total(self) -> int:
        return sum(length * count for length, count in self.counts.items())

    def at_most(self, limit: int) -> int:
        """How many are no longer than ``limit``."""
        return sum(count for length, count in self.counts.items() if length <= limit)

    def cut(self, limit: int | None) -> Lengths:
        """The lengths with those over ``limit`` cut down to it."""
        if limit is None:
            return self
        kept: Counter[int] = Counter()
        for length, count in self.counts.items():
            kept[min(length, limit)] += count
        return Lengths(kept)

    def summary(self) -> LengthSummary | None:
        """``None`` when nothing was counted."""
        if not self.counts:
            return None
        ordered, count, total = sorted(self.counts.items()), self.count, self.total
        p50, p90, p95, p99 = _quantiles(ordered, count, (0.5, 0.9, 0.95, 0.99))
        mean = round(total / count, 2)
        return LengthSummary(count, total, ordered[0][0], mean, p50, p90, p95, p99, ordered[-1][0])

    def histogram(self, most: int = _MOST_BINS) -> list[Bin]:
        """Bins of one round width without gaps; where a few are far longer than the rest, the last takes them all."""
        if not self.counts:
            return []
        ordered, count = sorted(self.counts.items()), self.count
        low, high = ordered[0][0], ordered[-1][0]
        (near,) = _quantiles(ordered, count, (_TAIL,))
        wanted = min(most, max(_LEAST_BINS, 2 * math.isqrt(count)))
        shown = high if high <= 1.5 * near else near
        width = _round_width(max(1, shown - low + 1) / wanted)
        first = low // width * width
        bins = max(1, math.ceil((shown + 1 - first) / width))
        found = [0] * (bins + 1)
        for length, number in ordered:
            found[min((length - first) // width, bins)] += number
        made = [Bin(first + i * width, first + (i + 1) * width - 1, found[i]) for i in range(bins)]
        return [*made, Bin(first + bins * width, high, found[bins])] if found[bins] else made

    def binned(self, bins: list[Bin]) -> list[Bin]:
        """These lengths in the ``bins`` of another histogram, which holds the shortest and the longest."""
        found = [0] * len(bins)
        lows = [one.low for one in bins]
        for length, number in self.counts.items():
            found[bisect_right(lows, length) - 1] += number
        return [Bin(one.low, one.high, count) for one, count in zip(bins, found, strict=True)]


def _quantiles(ordered: list[tuple[int, int]], count: int, shares: tuple[float, ...]) -> list[int]:
    """Nearest-rank quantiles of (length, how often) pairs in order; ``shares`` rise."""
    ranks = [max(1, math.ceil(share * count - 1e-9)) for share in shares]
    found: list[int] = []
    seen = 0
    for length, number in ordered:
        seen += number
        while len(found) < len(ranks) and seen >= ranks[len(found)]:
            found.append(length)
    return found


def _round_width(rough: float) -> int:
    """The next width of 1, 2 or 5 times a power of ten."""
    power = 10 ** max(0, math.floor(math.log10(rough)))
    return next(step * power for step in _STEPS if step * power >= rough)
