"""Answers that are marked as wanted or not (KTO), and texts with a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from mozhu.engine.data.tokens import IGNORED, Example
from mozhu.engine.training.engines.flat.batch import FlatBatch, flatten
from mozhu.engine.training.engines.preference import Reference, answer_logps
from mozhu.engine.training.objectives import kto_loss
from mozhu.engine.training.staged import Marked
from mozhu.specs.train import TrainSpec


@dataclass(frozen=True)
class MarkedBatch:
    """``others``: each question with the answer of the row before it; ``None`` where a batch has one row."""

    flat: FlatBatch
    marks: torch.Tensor
    others: FlatBatch | None = None

    @property
    def row_ids(self) -> list[str]:
        return self.flat.row_ids

    @property
    def tokens(self) -> int:
        return self.flat.tokens

    @property
    def items(self) -> int:
        return len(self.marks)


class KtoObjective:
    """Kahneman-Tversky optimisation. How far the model has moved on the whole is measured on answers that belong
    to other questions of the batch, so a batch needs at least two rows.
    """

    name, is_padded = "kto", False

    def __init__(self, spec: TrainSpec, reference: Reference) -> None:
        self._spec, self._reference = spec, reference

    def collate(self, examples: Sequence[Marked]) -> MarkedBatch:
        rows = [marked.example for marked in examples]
        others = [_exchanged(row, rows[number - 1]) for number, row in enumerate(rows)]
        marks = torch.tensor([bool(marked.mark) for marked in examples])
        return MarkedBatch(flatten(rows), marks, flatten(others) if len(rows) > 1 else None)

    def length(self, example: Marked) -> int:
        return len(example.example.ids)

    def loss(self, network: Any, batch: MarkedBatch, scale: float) -> tuple[torch.Tensor, dict[str, float]]:
        moved = torch.zeros(())
        with torch.no_grad():
            with self._reference(network) as model:
                before = answer_logps(model, batch.flat)
                other = answer_logps(model, batch.others) if batch.others is not None else None
            if batch.others is not None and other is not None:
                moved = (answer_logps(network, batch.others) - other).mean().clamp(min=0)
        ratio = answer_logps(network, batch.flat) - before
        spec, marks = self._spec, batch.marks.to(ratio.device)
        losses = kto_loss(
            ratio, marks, moved.to(ratio.device), spec.beta, spec.wanted_weight, spec.unwanted_weight
        )
        right = ((ratio.detach() > moved) == marks).sum()
        return losses.sum() * scale, {"accuracy": float(right), "divergence": float(moved) * batch.items}


class ClassObjective:
    """A class for each text, from the last token's hidden state."""

    name, is_padded = "classification", False

    def collate(self, examples: Sequence[Marked]) -> MarkedBatch:
        marks = torch.tensor([marked.mark for marked in examples])
        return MarkedBatch(flatten([marked.example for marked in examples]), marks)

    def length(self, example: Marked) -> int:
        return len(example.example.ids)

    def loss(self, network: Any, batch: MarkedBatch, scale: float) -> tuple[torch.Tensor, dict[str, float]]:
        scores = network(flat=batch.flat, wanted="scores")["scores"]
        marks = batch.marks.to(scores.device)
        loss = cross_entropy(scores, marks, reduction="sum")
        return loss * scale, {"accuracy": float((scores.detach().argmax(-1) == marks).sum())}


def _exchanged(row: Example, other: Example) -> Example:
    """The question of ``row`` with the answer of ``other``."""
    start, answer = _answer_start(row), _answer_start(other)
    ids = list(row.ids[:start]) + list(other.ids[answer:])
    return Example(ids, [IGNORED] * start + list(other.labels[answer:]), row.row_id)


def _answer_start(row: Example) -> int:
    return next((place for place, label in enumerate(row.labels) if label != IGNORED), len(row.ids))
