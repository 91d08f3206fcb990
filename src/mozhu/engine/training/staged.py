"""What a step of each stage reads: rows of the store as pairs, marked answers or classified texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, overload

from mozhu.engine.data.stage_tokens import PAIRED
from mozhu.engine.data.token_store import TokenStore
from mozhu.engine.data.tokens import Example


@dataclass(frozen=True)
class Pair:
    wanted: Example
    unwanted: Example

    @property
    def row_id(self) -> str:
        return self.wanted.row_id


@dataclass(frozen=True)
class Marked:
    """``mark``: 1 where the answer is wanted, 0 where not; or the number of a class."""

    example: Example
    mark: int

    @property
    def row_id(self) -> str:
        return self.example.row_id


T = TypeVar("T", Pair, Marked)


class _Staged(Sequence[T], Generic[T]):
    def __init__(self, store: TokenStore) -> None:
        self._store = store

    @property
    def store(self) -> TokenStore:
        """The examples that the rows are made of."""
        return self._store

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._item(place) for place in range(*index.indices(len(self)))]
        return self._item(range(len(self))[index])

    def _item(self, index: int) -> T:
        raise NotImplementedError


class Pairs(_Staged[Pair]):
    """Two examples of the store after one another are a pair."""

    def __len__(self) -> int:
        return len(self._store) // 2

    def _item(self, index: int) -> Pair:
        return Pair(self._store[2 * index], self._store[2 * index + 1])


class MarkedRows(_Staged[Marked]):
    def __len__(self) -> int:
        return len(self._store)

    def _item(self, index: int) -> Marked:
        return Marked(self._store[index], self._store.mark(index))


def staged(store: TokenStore, stage: str) -> Sequence[object]:
    """The rows of ``store`` as ``stage`` reads them."""
    if stage in PAIRED:
        return Pairs(store)
    if stage in {"kto", "classification"}:
        return MarkedRows(store)
    return store
