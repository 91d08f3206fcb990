"""Which few rows of many are shown: some by chance, the longest and the shortest. Always the same ones."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mozhu.engine.data.statistics.frequent import digest


@dataclass(frozen=True)
class Place:
    """Where a row stands: the file that was read, its line from 1, and the row's id."""

    part: str
    row_id: str
    file: str
    line: int


@dataclass
class Some:
    """The items with the smallest keys; equal keys by the order in which they came. ``most`` are held."""

    most: int
    _held: list[tuple[int, int, Any]] = field(default_factory=list)
    _came: int = 0

    def offer(self, key: int, item: Any) -> None:
        self._came += 1
        entry = (-key, -self._came, item)
        if len(self._held) < self.most:
            heapq.heappush(self._held, entry)
        elif self.most and entry[:2] > self._held[0][:2]:
            heapq.heapreplace(self._held, entry)

    def wants(self, key: int) -> bool:
        """Whether an item with ``key`` would be held."""
        return bool(self.most) and (len(self._held) < self.most or -key > self._held[0][0])

    def update(self, other: Some) -> None:
        for key, item in other.keyed():
            self.offer(key, item)

    def keyed(self) -> list[tuple[int, Any]]:
        return [(-key, item) for key, _, item in sorted(self._held, key=lambda entry: (-entry[0], -entry[1]))]

    def items(self) -> list[Any]:
        """Smallest key first."""
        return [item for _, item in self.keyed()]


def chance(seed: int, part: str, number: int) -> int:
    """A number that decides whether row ``number`` of ``part`` is shown; the same for the same seed."""
    return digest(f"{seed}:{part}:{number}")


def merged(parts: Iterable[Some], most: int) -> Some:
    whole = Some(most)
    for part in parts:
        whole.update(part)
    return whole
