"""Rows shared out over parts of a batch that are gone through one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence


def even_parts(sizes: Sequence[int], most: int) -> list[list[int]]:
    """Indices of ``sizes`` in as few parts as sum up to ``most`` at the most, each about as large as the others.

    What is larger than ``most`` by itself is a part by itself, and then parts may be as large as it is. The same
    sizes give the same parts; indices ascend in each.
    """
    limit = max(most, *sizes) if sizes else most
    count = max(1, math.ceil(sum(sizes) / limit))
    while True:
        parts = _shared_out(sizes, count)
        if all(sum(sizes[index] for index in part) <= limit for part in parts):
            return parts
        count += 1


def _shared_out(sizes: Sequence[int], count: int) -> list[list[int]]:
    """The largest first, each to the part that has least."""
    parts: list[list[int]] = [[] for _ in range(count)]
    held = [0] * count
    for index in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        least = held.index(min(held))
        parts[least].append(index)
        held[least] += sizes[index]
    return [sorted(part) for part in parts if part]
