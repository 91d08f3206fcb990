"""Supervised fine-tuning on rows with images: padded batches, with the images' patches beside the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mozhu.engine.training.engines.sft import PaddedBatch, PaddedSft
from mozhu.engine.training.vision_data import VisionExample
from mozhu.engine.weights.vision import Vision


class VisionSft(PaddedSft):
    """Rows with and without images mix freely; images are read when their batch is made."""

    def __init__(self, pad_id: int, vision: Vision) -> None:
        super().__init__(pad_id)
        self._vision = vision

    def collate(self, examples: Sequence[Any]) -> PaddedBatch:
        rows: Sequence[VisionExample] = examples
        batch = super().collate(rows)  # type: ignore[arg-type]
        shown = self._vision.inputs([path for row in rows for path in row.images])
        if not shown:
            return batch
        places = (batch.inputs["input_ids"] == self._vision.token).int()
        return replace(batch, inputs={**batch.inputs, **shown, "mm_token_type_ids": places})
