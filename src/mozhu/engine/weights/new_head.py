"""How a scoring head begins that a model does not have yet: the same in every engine."""

from __future__ import annotations

import torch

from mozhu.engine.weights.folder import ModelFolder

NAME = "score.weight"


def new_head(model: ModelFolder, count: int, seed: int) -> torch.Tensor | None:
    """float32 weights of shape (``count``, width), normal as weights of its kind begin; ``None`` where it has one."""
    if any(name.endswith(NAME) for name in model.tensors):
        return None
    width = int(model.text_config.get("hidden_size") or model.text_config.get("n_embd") or 0)
    spread = float(model.text_config.get("initializer_range") or 0.02)
    chance = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=chance) * spread


@torch.no_grad()
def begin_head(network: torch.nn.Module, weight: torch.Tensor | None) -> None:
    """The head of ``network`` begins as ``weight``, where it has one of that shape."""
    head = getattr(network, "score", None)
    own = getattr(head, "weight", None)
    if weight is not None and own is not None and own.is_floating_point() and own.shape == weight.shape:
        own.copy_(weight)
