"""Root-mean-square norms as one operator that keeps its input alone.

Transformers writes them as separate operators, and going back needs float32 copies of every activation: four times
the input's bytes. Here the copies are made again where they are needed. The arithmetic is the same, in float32,
rounded at the same places (Zhang and Sennrich, 2019, arXiv:1910.07467).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mozhu.engine.training.engines.flat.trial import agrees


def fuse_norms(network: nn.Module) -> int:
    """Every norm of ``network`` that divides by the root mean square and scales, and is not trained itself,
    computes as one operator from now on; returns how many. One of each kind is compared with the kind's own way.
    """
    known: dict[type[nn.Module], bool] = {}
    found: list[Any] = [module for module in network.modules() if _is_candidate(module)]
    for module in found:
        kind = type(module)
        if kind not in known:
            known[kind] = agrees(module, FusedNorm(module), module.weight.shape[-1])
    fused = [module for module in found if known[type(module)]]
    for module in fused:
        module.forward = FusedNorm(module)
    return len(fused)


def _is_candidate(module: nn.Module) -> bool:
    own = dict(module.named_parameters(recurse=False))
    return (
        type(module).__name__.endswith("RMSNorm")
        and list(own) == ["weight"]
        and own["weight"].dim() == 1
        and own["weight"].is_floating_point()
        and not own["weight"].requires_grad
        and _epsilon(module) is not None
    )


def _epsilon(module: nn.Module) -> float | None:
    return getattr(module, "variance_epsilon", None) or getattr(module, "eps", None)


class FusedNorm:
    def __init__(self, norm: Any) -> None:
        self._norm, self._epsilon = norm, _epsilon(norm)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = _Norm.apply(x, self._norm.weight, self._epsilon)
        return found


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float) -> torch.Tensor:
        norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        shrink = norms.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, shrink, weight)
        return _shrunk(x, shrink).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, shrink, weight = ctx.saved_tensors
        slopes = _copied(grad * weight)
        shrunk = _shrunk(x, shrink)
        along = (slopes * shrunk).mean(dim=-1, keepdim=True)
        slopes.addcmul_(shrunk, along, value=-1.0).mul_(shrink)
        return slopes.to(x.dtype), None, None


def _shrunk(x: torch.Tensor, shrink: torch.Tensor) -> torch.Tensor:
    return x * shrink if x.dtype == torch.float32 else x.float().mul_(shrink)


def _copied(fresh: torch.Tensor) -> torch.Tensor:
    """In float32; ``fresh`` is not needed any more."""
    return fresh if fresh.dtype == torch.float32 else fresh.float()
