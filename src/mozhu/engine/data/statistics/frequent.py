"""Which texts occur most often, among any number of them, in bounded memory."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

_MOST_KEPT = 20_000


@dataclass
class Frequent:
    """Counts texts. Of more than twenty thousand different ones the rare are forgotten: ``exact`` is false then,
    and a count may lack what was met before. How many different ones there are stays exact: eight bytes each time.
    """

    counts: Counter[str] = field(default_factory=Counter)
    exact: bool = True
    _digests: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, content: str) -> None:
        self.counts[content] += 1
        if self.counts[content] == 1:
            self._digests.append(digest(content))
            self._forget()

    def update(self, other: Frequent) -> None:
        self.counts.update(other.counts)
        self._digests.extend(other._digests)
        self.exact = self.exact and other.exact
        self._forget()

    def top(self, most: int) -> list[tuple[str, int]]:
        """The most frequent ones; equally frequent ones by the alphabet."""
        return sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))[:most]

    @property
    def different(self) -> int:
        return int(len(np.unique(np.frombuffer(self._digests, dtype=np.uint64)))) if self._digests else 0

    def __iter__(self) -> Iterator[str]:
        return iter(self.counts)

    def _forget(self) -> None:
        if len(self.counts) > _MOST_KEPT:
            self.counts = Counter(dict(self.counts.most_common(_MOST_KEPT // 2)))
            self.exact = False


def digest(content: str) -> int:
    """64 bits of a hash of ``content``, the same on every day."""
    raw = content.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")
