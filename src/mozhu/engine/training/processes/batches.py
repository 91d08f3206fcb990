"""Which rows each process reads: together those that one process would read in a step, each once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch.utils.data import DataLoader, Sampler

from mozhu.engine.training.engines.objective import Batch, Objective


class _Order(Protocol):
    """The order of all rows in an epoch."""

    def __iter__(self) -> Iterator[int]: ...

    def set_epoch(self, epoch: int) -> None: ...


class RankBatches(Sampler[list[int]]):
    """Batches of row numbers of one process.

    A step reads ``size * steps * ranks`` rows of the order; the first ``size`` go to the first process, the next to
    the second, and so on, ``steps`` times over. What is left at the end of an epoch is a smaller step: it is shared
    out in the same way, and a process that gets nothing of it reads a row that it must not learn: its number is -1.
    So the same rows make the same step, however many processes read them.
    """

    def __init__(self, order: _Order, rows: int, *, size: int, steps: int, rank: int, ranks: int) -> None:
        self._order, self._rows = order, rows
        self._size, self._steps, self._rank, self._ranks = size, steps, rank, ranks

    def __len__(self) -> int:
        a_step = self._size * self._steps * self._ranks
        return self._rows // a_step * self._steps + math.ceil(
            self._rows % a_step / (self._size * self._ranks)
        )

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self._order)
        for number in range(len(self)):
            start = (number * self._ranks + self._rank) * self._size
            yield order[start : start + self._size] or [-1]

    @property
    def batch_sampler(self) -> RankBatches:
        """Where Trainer looks for what it tells the epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        self._order.set_epoch(epoch)


@dataclass(frozen=True)
class Idle:
    """A batch that keeps a process in step with the others: it is read, and nothing is learned from it."""

    batch: Batch
    row_ids: tuple[str, ...] = ()
    tokens: int = 0
    items: int = 0


class Collate:
    def __init__(self, objective: Objective) -> None:
        self._objective = objective

    def __call__(self, examples: Sequence[Any]) -> Batch:
        if isinstance(examples[0], Filler):
            return Idle(self._objective.collate([examples[0].example]))  # type: ignore[return-value]
        return self._objective.collate(examples)


@dataclass(frozen=True)
class Filler:
    example: Any


class Rows:
    """Row -1 is one that is not learned."""

    def __init__(self, examples: Sequence[Any]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Any:
        return Filler(self._examples[0]) if index < 0 else self._examples[index]


def rank_loader(rows: Sequence[Any], objective: Objective, batches: RankBatches, *, pin: bool) -> Any:
    return DataLoader(
        Rows(rows),  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=Collate(objective),
        pin_memory=pin,
    )
