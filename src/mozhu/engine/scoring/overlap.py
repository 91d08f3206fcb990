"""Counts that ROUGE and token F1 are made of: shared n-grams and the longest common subsequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence


def common_subsequence(left: Sequence[Hashable], right: Sequence[Hashable]) -> int:
    """The length of the longest common subsequence.

    One machine word holds one column: the bit-parallel recurrence of Hyyrö (2004), on Python's big integers.
    """
    places: dict[Hashable, int] = {}
    for index, unit in enumerate(left):
        places[unit] = places.get(unit, 0) | (1 << index)
    full = (1 << len(left)) - 1
    column = full
    for unit in right:
        matched = column & places.get(unit, 0)
        column = ((column + matched) | (column - matched)) & full
    return len(left) - column.bit_count()


def ngrams(units: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(units[start:] for start in range(n)), strict=False))


def shared_ngrams(left: Sequence[str], right: Sequence[str], n: int) -> int:
    """How many n-grams both have, each counted as often as the rarer side has it."""
    return (ngrams(left, n) & ngrams(right, n)).total()


def f_measure(shared: int, answer_count: int, reference_count: int) -> float:
    """The harmonic mean of precision and recall, 0..1; 0 where nothing is shared or one side is empty."""
    total = answer_count + reference_count
    return 2 * shared / total if shared and total else 0.0
