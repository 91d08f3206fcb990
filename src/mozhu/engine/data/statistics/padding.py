"""How much of a batch is padding, and how full packed sequences are, from counted lengths."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mozhu.engine.data.statistics.lengths import Lengths

BATCH_SIZES = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Padding:
    """Share of all places of the batches that hold no token: rows in any order (expected), and sorted by length."""

    batch_size: int
    shuffled: float
    by_length: float


@dataclass(frozen=True)
class Packing:
    """Sequences of at most ``max_length`` tokens into which all examples fit whole, and how full they are.

    Best-fit decreasing; the example that is longest goes first, into the fullest sequence with room.
    """

    max_length: int
    examples: int
    sequences: int
    filled: float


def padding(lengths: Lengths, batch_size: int) -> Padding | None:
    """``None`` when there is no length."""
    ordered = sorted(lengths.counts.items())
    total = lengths.total
    if not total:
        return None
    values = np.array([length for length, _ in ordered], dtype=np.float64)
    reached = np.cumsum(np.array([count for _, count in ordered], dtype=np.int64))
    count = int(reached[-1])
    whole, rest = divmod(count, batch_size)
    shuffled = whole * batch_size * _longest(values, reached, batch_size) if whole else 0.0
    if rest:
        shuffled += rest * _longest(values, reached, rest)
    ends = np.append(np.arange(batch_size, count + 1, batch_size), [count] if rest else [])
    sizes = np.diff(np.concatenate([[0], ends]))
    sorted_places = float((values[np.searchsorted(reached, ends - 1, side="right")] * sizes).sum())
    return Padding(batch_size, _share(total, shuffled), _share(total, sorted_places))


def packing(lengths: Lengths, max_length: int) -> Packing | None:
    """``None`` when there is no length. Longer ones count as cut down to ``max_length``."""
    counts = lengths.cut(max_length).counts
    room: Counter[int] = Counter()  # how many sequences have so much room left
    sequences = 0
    for length in sorted(counts, reverse=True):
        left = counts[length] if length else 0
        while left:
            fitting = [size for size in room if size >= length and room[size]]
            if fitting:
                size = min(fitting)
                taken = min(left, room[size])
                room[size] -= taken
                room[size - length] += taken
                left -= taken
                if not room[size]:
                    del room[size]
                continue
            each = max_length // length  # a fresh sequence takes as many of this length as fit
            fresh, rest = divmod(left, each)
            sequences += fresh + bool(rest)
            room[max_length - each * length] += fresh
            if rest:
                room[max_length - rest * length] += 1
            left = 0
    if not sequences:
        return None
    examples = sum(counts.values())
    filled = sum(length * count for length, count in counts.items()) / (sequences * max_length)
    return Packing(max_length, examples, sequences, round(filled, 4))


def _longest(values: NDArray[np.float64], reached: NDArray[np.int64], size: int) -> float:
    """The expected longest of ``size`` rows drawn without putting back."""
    count = int(reached[-1])
    below = np.ones(len(values))
    for drawn in range(size):
        below *= np.maximum(reached - drawn, 0) / (count - drawn)
    return float((values * np.diff(below, prepend=0.0)).sum())


def _share(tokens: int, places: float) -> float:
    return round(max(0.0, 1 - tokens / places), 4)
