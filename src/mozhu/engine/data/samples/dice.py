"""Choices that fall the same way on every machine, and rows that differ from all before them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, TypeVar

T = TypeVar("T")
Row = dict[str, Any]

_TRIES = 80
_MANY_ROWS = 10_000
_BITS = 16


class Dice:
    """Numbers from SHA-256 of a name: no state but a counter, no difference between machines or versions.

    ``picks`` are the choices that carry what a row says, in their order; filler is chosen with ``some``.
    """

    def __init__(self, *name: object) -> None:
        self._name = ":".join(map(str, name)).encode()
        self._count = 0
        self.picks: list[int] = []

    def below(self, limit: int) -> int:
        """A whole number from 0 to ``limit`` - 1."""
        self._count += 1
        digest = hashlib.sha256(b"%s#%d" % (self._name, self._count)).digest()
        return int.from_bytes(digest[:8], "big") % limit

    def pick(self, options: Sequence[T]) -> T:
        """One of ``options``, as a part of what the row says."""
        self.picks.append(self.below(len(options)))
        return options[self.picks[-1]]

    def some(self, options: Sequence[T]) -> T:
        """One of ``options`` that do not change what the row says."""
        return options[self.below(len(options))]

    def number(self, first: int, last: int) -> int:
        """A whole number from ``first`` to ``last``, both included, as a part of what the row says."""
        self.picks.append(self.below(last - first + 1))
        return first + self.picks[-1]

    def order(self, items: Sequence[T]) -> list[T]:
        """``items`` in another order (Fisher and Yates)."""
        mixed = list(items)
        for place in range(len(mixed) - 1, 0, -1):
            other = self.below(place + 1)
            mixed[place], mixed[other] = mixed[other], mixed[place]
        return mixed

    def take(self, items: Sequence[T], count: int) -> list[T]:
        """``count`` different ones of ``items``, as a part of what the row says."""
        left = list(items)
        return [left.pop(left.index(self.pick(left))) for _ in range(count)]


def fresh_rows(
    kind: str, count: int, seed: int, make: Callable[[Dice, int], Row], blanks: int = 2
) -> Iterator[Row]:
    """``count`` rows, none said before: each differs from every earlier one in more than ``blanks`` choices.

    Beyond 10,000 rows two choices must do; where a small world is used up, a row need only be another one.
    """
    blanks = blanks if count <= _MANY_ROWS else min(blanks, 1)
    met: set[int] = set()
    said: set[bytes] = set()
    for number in range(count):
        row: Row | None = None
        for attempt in range(_TRIES):
            dice = Dice("mozhu", kind, seed, number, attempt)
            tried = make(dice, number)
            content = _digest(tried)
            if content in said:
                continue
            row, marks = tried, _marks(dice.picks, blanks)
            if met.isdisjoint(marks):
                break
        if row is None:
            raise ValueError(f"the world of {kind} has no {count} different rows")
        said.add(content)
        met.update(marks)
        yield row


def _marks(picks: Sequence[int], blanks: int) -> list[int]:
    """The choices as one number, once for every way to blank ``blanks`` of them out."""
    parts = [(pick + 1) << (_BITS * place) for place, pick in enumerate(picks)]
    whole = sum(parts)
    chosen = combinations(range(len(parts)), min(blanks, len(parts) - 1))
    return [whole - sum(parts[place] for place in places) for places in chosen]


def _digest(row: Row) -> bytes:
    """The same for rows that say the same; a system message does not count."""
    said = [turn for turn in row.get("messages", ()) if turn["role"] != "system"] or sorted(row.items())
    return hashlib.sha256(repr(said).encode()).digest()
