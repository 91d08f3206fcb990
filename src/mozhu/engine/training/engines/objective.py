"""The port between the trainer and what it makes small: how rows become a batch, and a batch a loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch


class Batch(Protocol):
    """``items`` is what a loss is averaged over: learned tokens, or rows. ``tokens`` counts what was read."""

    @property
    def row_ids(self) -> list[str]: ...

    @property
    def tokens(self) -> int: ...

    @property
    def items(self) -> int: ...


@runtime_checkable
class Divisible(Protocol):
    """A batch whose loss is the sum of its parts' losses."""

    def parts(self, most: int) -> Sequence[Batch]:
        """As few as have about ``most`` tokens each."""
        ...


class Objective(Protocol):
    """``length`` is what rows are grouped by where batches are padded."""

    name: str
    is_padded: bool

    def collate(self, examples: Sequence[Any]) -> Batch: ...

    def length(self, example: Any) -> int: ...

    def loss(self, network: Any, batch: Any, scale: float) -> tuple[torch.Tensor, dict[str, float]]:
        """``scale`` times the sum over the batch's items, and figures to show, each as a sum over its rows."""
        ...
