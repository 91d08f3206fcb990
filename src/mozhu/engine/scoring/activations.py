"""How large the numbers inside a model become: float16 holds none above 65,504."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass
class Largest:
    """``value`` is the largest absolute number that any layer gave; infinite where one was not finite."""

    value: float = 0.0


@contextmanager
def largest_activation(model: Any) -> Iterator[Largest]:
    """In the block every output of every layer of ``model`` is looked at."""
    seen = Largest()

    def look(_module: Any, _given: Any, made: Any) -> None:
        first = made[0] if isinstance(made, (tuple, list)) and made else made
        if isinstance(first, torch.Tensor) and first.is_floating_point() and first.numel():
            found = float(first.detach().abs().amax())
            seen.value = max(seen.value, float("inf") if found != found else found)

    hooks = [module.register_forward_hook(look) for module in model.modules()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
