"""Holds out groups of rows so that every stratum keeps the shares."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

# Rows of each stratum that a group holds, or that a part is still to get.
Rows = dict[int, int]
_LEAST = 3
_POOL = 0


def fill_strata(ranks: Sequence[int], strata: Sequence[int], targets: Mapping[str, int]) -> dict[int, str]:
    """Part of each rank that is held out; rows of one rank stay together, all others are for training.

    ``targets`` are the rows wanted in each part. A stratum's part of them is its share of all rows, rounded up or
    down by the largest remainders so that the sum stays; one group of every stratum stays for training. Groups
    are taken in the order of their ranks: first those that fit, then those that bring the counts nearer.
    """
    groups = _Groups(ranks, _pooled(strata))
    left = groups.spare()
    held: dict[int, str] = {}
    for part, target in targets.items():
        wanted = _quotas(groups.sizes, target, left, part)
        for fits in (_fits, _brings_nearer):
            for rank, rows in groups:
                may_go = all(count <= left[stratum] for stratum, count in rows.items())
                if rank not in held and may_go and fits(rows, wanted):
                    held[rank] = part
                    for stratum, count in rows.items():
                        wanted[stratum] -= count
                        left[stratum] -= count
    return held


class _Groups:
    """The rows of each rank by stratum, in the order of the ranks, as often as wanted; eight bytes a row are kept."""

    def __init__(self, ranks: Sequence[int], strata: Sequence[int]) -> None:
        self._ranks, self._strata = ranks, strata
        self._order = array("Q", sorted(range(len(ranks)), key=ranks.__getitem__))
        self.sizes: Rows = dict(Counter(strata))

    def __iter__(self) -> Iterator[tuple[int, Rows]]:
        rows: Rows = {}
        for place, number in enumerate(self._order):
            stratum = self._strata[number]
            rows[stratum] = rows.get(stratum, 0) + 1
            following = self._order[place + 1] if place + 1 < len(self._order) else None
            if following is None or self._ranks[following] != self._ranks[number]:
                yield self._ranks[number], rows
                rows = {}

    def spare(self) -> Rows:
        """How many rows of each stratum may be held out: all but its smallest group."""
        smallest: Rows = {}
        for _, rows in self:
            for stratum, count in rows.items():
                smallest[stratum] = min(count, smallest.get(stratum, count))
        return {stratum: size - smallest[stratum] for stratum, size in self.sizes.items()}


def _pooled(strata: Sequence[int]) -> Sequence[int]:
    """``strata``, those of one or two rows as one stratum where they are most of the rows."""
    sizes = Counter(strata)
    small = {stratum for stratum, size in sizes.items() if size < _LEAST}
    if sum(sizes[stratum] for stratum in small) * 2 <= len(strata):
        return strata
    return array("Q", (_POOL if stratum in small else stratum for stratum in strata))


def _quotas(sizes: Rows, target: int, left: Rows, part: str) -> Rows:
    """``target`` rows divided among the strata by their sizes; ties go by a hash of the stratum."""
    total = sum(sizes.values())
    exact = {stratum: target * size / total for stratum, size in sizes.items()}
    quotas = {stratum: min(int(share), left[stratum]) for stratum, share in exact.items()}
    missing = target - sum(quotas.values())
    for stratum in sorted(
        exact, key=lambda stratum: (int(exact[stratum]) - exact[stratum], _tie(stratum, part))
    ):
        if missing > 0 and exact[stratum] > quotas[stratum] < left[stratum]:
            quotas[stratum] += 1
            missing -= 1
    return quotas


def _tie(stratum: int, part: str) -> bytes:
    return hashlib.sha256(f"{part}:{stratum}".encode()).digest()


def _fits(rows: Rows, wanted: Rows) -> bool:
    return all(count <= wanted[stratum] for stratum, count in rows.items())


def _brings_nearer(rows: Rows, wanted: Rows) -> bool:
    """Whether the part with ``rows`` is nearer to what is wanted than without."""
    return sum(abs(wanted[stratum] - count) - abs(wanted[stratum]) for stratum, count in rows.items()) < 0
