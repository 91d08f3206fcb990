"""Rows of like length in the same batch, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

_BATCHES_A_POOL = 50


class LengthGroupedSampler(Sampler[int]):
    """Every row once an epoch: rows are shuffled, sorted by length in pools of fifty batches, and the batches
    shuffled again, so that padding is little and the order still random.

    Args:
        size: Rows of one optimisation step.
        lengths: Of all rows.
    """

    def __init__(self, size: int, *, lengths: Sequence[int], seed: int) -> None:
        self._size = size
        self._lengths = torch.as_tensor(lengths, dtype=torch.long)
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        chance = torch.Generator().manual_seed(self._seed * 1_000_003 + self._epoch)
        order = torch.randperm(len(self._lengths), generator=chance)
        batches: list[torch.Tensor] = []
        for pool in order.split(self._size * _BATCHES_A_POOL):
            sorted_pool = pool[torch.argsort(self._lengths[pool], stable=True, descending=True)]
            batches += sorted_pool.split(self._size)
        whole = [batch for batch in batches if len(batch) == self._size]
        rest = [batch for batch in batches if len(batch) != self._size]
        for number in torch.randperm(len(whole), generator=chance).tolist():
            yield from whole[number].tolist()
        for batch in rest:  # the last batch of an epoch is the only short one
            yield from batch.tolist()
