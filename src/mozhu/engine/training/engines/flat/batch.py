"""Several rows as one sequence without padding, with what is needed to keep them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import torch

from mozhu.engine.data.tokens import IGNORED, Example
from mozhu.engine.training.engines.flat.parts import even_parts


@dataclass(frozen=True)
class FlatBatch:
    """``ids`` and ``positions`` have shape (1, tokens); positions begin at 0 in each row.

    ``lengths`` are those of the rows, ``row_ids`` their names; ``bounds`` (int32, rows + 1) is where each begins,
    and the end. ``predicting`` are the places whose next token is learned, ``targets`` those tokens. ``attended``
    is given only to try what happens when rows are not kept apart.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    bounds: torch.Tensor
    lengths: list[int]
    predicting: torch.Tensor
    targets: torch.Tensor
    row_ids: list[str] = field(default_factory=list)
    attended: list[int] | None = None

    @property
    def tokens(self) -> int:
        return sum(self.lengths)

    @property
    def items(self) -> int:
        """How many tokens are learned."""
        return len(self.targets)

    @property
    def rows(self) -> torch.Tensor:
        """To which row each of ``predicting`` belongs, from 0."""
        return torch.bucketize(self.predicting, self.bounds[1:].long(), right=True)

    def parts(self, most: int) -> list[FlatBatch]:
        """The batch in as few parts as have about ``most`` tokens each; a row stays whole."""
        chosen = even_parts(self.lengths, most)
        return [self] if len(chosen) == 1 else [self.only(rows) for rows in chosen]

    def only(self, rows: Sequence[int]) -> FlatBatch:
        """The batch of ``rows`` alone, in their order."""
        starts, of_row = self.bounds.tolist(), self.rows
        learned = [(of_row == row).nonzero().squeeze(1) for row in rows]
        lengths = [self.lengths[row] for row in rows]
        bounds = [0, *accumulate(lengths)]
        places = [
            self.predicting[mine] - starts[row] + begin for row, mine, begin in zip(rows, learned, bounds)
        ]
        return FlatBatch(
            ids=torch.cat([self.ids[:, starts[row] : starts[row + 1]] for row in rows], dim=1),
            positions=torch.cat([self.positions[:, starts[row] : starts[row + 1]] for row in rows], dim=1),
            bounds=torch.tensor(bounds, dtype=torch.int32),
            lengths=lengths,
            predicting=torch.cat(places),
            targets=self.targets[torch.cat(learned)],
            row_ids=[self.row_ids[row] for row in rows] if self.row_ids else [],
        )

    def inputs(self, device: torch.device) -> dict[str, Any]:
        """The keyword arguments of a transformers model: those that its variable-length kernels know."""
        lengths = self.attended or self.lengths
        longest = max(lengths)
        ends = self.bounds if self.attended is None else torch.tensor([0, *lengths], dtype=torch.int32)
        bounds = ends.to(device, non_blocking=True)
        return {
            "input_ids": self.ids.to(device, non_blocking=True),
            "position_ids": self.positions.to(device, non_blocking=True),
            "cu_seq_lens_q": bounds,
            "cu_seq_lens_k": bounds,
            "max_length_q": longest,
            "max_length_k": longest,
            "row_lengths": lengths,
            "use_cache": False,
        }


def flatten(examples: Sequence[Example]) -> FlatBatch:
    """``examples`` in their order; the first token of a row is never predicted from the row before it."""
    lengths = [len(example.ids) for example in examples]
    ids = torch.cat([torch.as_tensor(example.ids, dtype=torch.long) for example in examples])
    labels = torch.cat([_labels(example) for example in examples])
    predicting = torch.nonzero(labels[1:] != IGNORED).squeeze(1)
    return FlatBatch(
        ids=ids.unsqueeze(0),
        positions=torch.cat([torch.arange(length) for length in lengths]).unsqueeze(0),
        bounds=torch.tensor([0, *accumulate(lengths)], dtype=torch.int32),
        lengths=lengths,
        predicting=predicting,
        targets=labels[predicting + 1],
        row_ids=[example.row_id for example in examples],
    )


def _labels(example: Example) -> torch.Tensor:
    labels = torch.as_tensor(example.labels, dtype=torch.long).clone()
    labels[:1] = IGNORED
    return labels
