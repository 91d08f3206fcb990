"""What a model with a scoring head says of texts: one row of numbers each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft.utils.other import ModulesToSaveWrapper


@torch.inference_mode()
def record_scores(model: Any, rows_ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The scores of each row on the CPU in float32, shape (1, labels); one row at a time, so none is padded."""
    device = next(model.parameters()).device
    found = []
    for ids in rows_ids:
        given = torch.tensor([list(ids)], device=device)
        mask = torch.ones_like(given)
        found.append(model(input_ids=given, attention_mask=mask, use_cache=False).logits.float().cpu())
    return found


@contextmanager
def base_with_head(model: Any) -> Iterator[None]:
    """In the block an adapted model is its base with the trained head: what is left without the adapter's layers."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, ModulesToSaveWrapper):
                module.original_module.load_state_dict(module.modules_to_save["default"].state_dict())
    with model.disable_adapter():
        yield
