"""Supervised fine-tuning and continued pre-training: cross-entropy of the tokens that carry labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from mozhu.engine.data.tokens import IGNORED, Example
from mozhu.engine.training.engines.flat.batch import FlatBatch, flatten


class FlatSft:
    """Rows end to end: no padding, no logits where nothing is learned."""

    name, is_padded = "sft", False

    def collate(self, examples: Sequence[Example]) -> FlatBatch:
        return flatten(examples)

    def length(self, example: Example) -> int:
        return len(example.ids)

    def loss(self, network: Any, batch: FlatBatch, scale: float) -> tuple[torch.Tensor, dict[str, float]]:
        return network(flat=batch, wanted="loss", scale=scale)["loss"], {}


@dataclass(frozen=True)
class PaddedBatch:
    """``inputs`` are tensors of shape (rows, longest), padded at the end; ``labels`` likewise."""

    inputs: dict[str, torch.Tensor]
    labels: torch.Tensor
    row_ids: list[str]
    tokens: int
    items: int


class PaddedSft:
    """Rows beside one another, padded to the longest: for models that cannot keep flat rows apart."""

    name, is_padded = "sft", True

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def collate(self, examples: Sequence[Example]) -> PaddedBatch:
        longest = max(len(example.ids) for example in examples)
        shape = (len(examples), longest)
        ids = torch.full(shape, self._pad_id, dtype=torch.long)
        labels = torch.full(shape, IGNORED, dtype=torch.long)
        mask = torch.zeros(shape, dtype=torch.long)
        for index, example in enumerate(examples):
            size = len(example.ids)
            ids[index, :size] = torch.as_tensor(example.ids)
            labels[index, :size] = torch.as_tensor(example.labels)
            mask[index, :size] = 1
        return PaddedBatch(
            {"input_ids": ids, "attention_mask": mask},
            labels,
            [example.row_id for example in examples],
            int(mask.sum()),
            int((labels[:, 1:] != IGNORED).sum()),
        )

    def length(self, example: Example) -> int:
        return len(example.ids)

    def loss(self, network: Any, batch: PaddedBatch, scale: float) -> tuple[torch.Tensor, dict[str, float]]:
        device = next(network.parameters()).device
        inputs = {name: value.to(device) for name, value in batch.inputs.items()}
        logits = network(**inputs, use_cache=False).logits[:, -batch.labels.shape[1] :]
        wanted = batch.labels[:, 1:].to(device)
        kept = wanted != IGNORED
        total = cross_entropy(logits[:, :-1][kept].float(), wanted[kept], reduction="sum")
        return total * scale, {}
