"""What of a scoring model is its adapter and what its head."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft.utils.other import ModulesToSaveWrapper


@contextmanager
def base_with_head(model: Any) -> Iterator[None]:
    """In the block an adapted model is its base with the trained head: what is left without the adapter's layers."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, ModulesToSaveWrapper):
                module.original_module.load_state_dict(module.modules_to_save["default"].state_dict())
    with model.disable_adapter():
        yield
