"""Several rows as one sequence without padding, with what is needed to keep them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch

from mozhu.engine.data.tokens import IGNORED, Example


@dataclass(frozen=True)
class FlatBatch:
    """``tokens`` and ``positions`` have shape (1, total); positions begin at 0 in each row.

    ``lengths`` are those of the rows; ``bounds`` (int32, rows + 1) where each begins, and the end. ``predicting``
    are the places whose next token is learned, ``targets`` those tokens.
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    bounds: torch.Tensor
    lengths: list[int]
    predicting: torch.Tensor
    targets: torch.Tensor

    @property
    def rows(self) -> torch.Tensor:
        """To which row each of ``predicting`` belongs, from 0."""
        return torch.bucketize(self.predicting, self.bounds[1:].long(), right=True)

    def inputs(self, device: torch.device) -> dict[str, Any]:
        """The keyword arguments of a transformers model: those that its variable-length kernels know."""
        longest = max(self.lengths)
        bounds = self.bounds.to(device, non_blocking=True)
        return {
            "input_ids": self.tokens.to(device, non_blocking=True),
            "position_ids": self.positions.to(device, non_blocking=True),
            "cu_seq_lens_q": bounds,
            "cu_seq_lens_k": bounds,
            "max_length_q": longest,
            "max_length_k": longest,
            "row_lengths": self.lengths,
            "use_cache": False,
        }


def flatten(examples: Sequence[Example]) -> FlatBatch:
    """``examples`` in their order; the first token of a row is never predicted from the row before it."""
    lengths = [len(example.ids) for example in examples]
    ids = torch.cat([torch.as_tensor(example.ids, dtype=torch.long) for example in examples])
    labels = torch.cat([_labels(example) for example in examples])
    predicting = torch.nonzero(labels[1:] != IGNORED).squeeze(1)
    return FlatBatch(
        tokens=ids.unsqueeze(0),
        positions=torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0),
        bounds=torch.tensor([0, *accumulate(lengths)], dtype=torch.int32),
        lengths=lengths,
        predicting=predicting,
        targets=labels[predicting + 1],
    )


def _labels(example: Example) -> torch.Tensor:
    labels = torch.as_tensor(example.labels, dtype=torch.long).clone()
    labels[:1] = IGNORED
    return labels
