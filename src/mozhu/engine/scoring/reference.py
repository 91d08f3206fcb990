"""The noise of correct rounding, measured on the very model: what a limit for rounded weights can be judged by."""

from __future__ import annotations

from typing import Any

import torch

_BLOCK = 64
_BATCH_ROWS = 4096


@torch.no_grad()
def merge_and_round(model: Any, dtype: torch.dtype) -> bool:
    """PEFT puts the adapter into the weights of ``model``, and each is rounded once to ``dtype``.

    False where PEFT cannot merge this kind of adapter.
    """
    try:
        model.merge_adapter()
    except (NotImplementedError, ValueError, AttributeError, RuntimeError):
        return False
    round_weights(model, dtype)
    return True


@torch.no_grad()
def round_weights(model: Any, dtype: torch.dtype) -> None:
    """Every parameter of ``model`` becomes the nearest number that ``dtype`` holds; its own type stays."""
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.copy_(parameter.to(dtype).to(parameter.dtype))


@torch.no_grad()
def quantise_weights(model: Any, bits: int) -> None:
    """Every linear layer but the last is rounded to ``bits`` in blocks of 64 numbers, each with a scale of its own:
    the plainest quantisation there is (round to nearest, symmetric).
    """
    most = float(2 ** (bits - 1) - 1)
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    for module in model.modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            weight = module.weight
            for start in range(0, weight.shape[0], _BATCH_ROWS):
                rows = weight[start : start + _BATCH_ROWS]
                rows.copy_(_rounded(rows, most))


def _rounded(rows: torch.Tensor, most: float) -> torch.Tensor:
    width = rows.shape[1]
    padded = torch.nn.functional.pad(rows.float(), (0, -width % _BLOCK))
    blocks = padded.reshape(rows.shape[0], -1, _BLOCK)
    scale = blocks.abs().amax(-1, keepdim=True) / most
    made = torch.where(scale > 0, torch.round(blocks / scale) * scale, blocks)
    return made.reshape(rows.shape[0], -1)[:, :width].to(rows.dtype)
