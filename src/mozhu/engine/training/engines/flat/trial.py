"""Whether an operator does what the module does that it is to stand for: tried on numbers, once for each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

_ROWS = 3
_CLOSE = {torch.float32: 1e-5, torch.float64: 1e-5}
_CLOSE_ROUNDED = 2e-2  # of the largest value, in types of half the width


@torch.no_grad()
def agrees(module: nn.Module, operator: Callable[[torch.Tensor], torch.Tensor], width: int) -> bool:
    """Whether ``operator`` gives what ``module``'s own forward gives; both take (…, ``width``)."""
    weight = next(module.parameters())
    chance = torch.Generator().manual_seed(0)
    sample = torch.randn(1, _ROWS, width, generator=chance).to(weight.device, weight.dtype)
    own: Any = type(module).forward
    wanted = own(module, sample)
    return close(operator(sample), wanted)


def close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    apart = (found.float() - wanted.float()).abs().max()
    return bool(apart <= _CLOSE.get(wanted.dtype, _CLOSE_ROUNDED) * wanted.float().abs().max())
