"""Training stops where numbers end: no checkpoint and no artefact is made of NaN or infinities."""

from __future__ import annotations

import math
from typing import Any

import torch

from mozhu.kernel.errors import ValidationNotFinite, WeightsNotFinite


def require_finite(model: Any, step: int, learning_rate: float) -> None:
    """Every trained weight of ``model`` (of this process's part of it) is finite.

    Raises:
        WeightsNotFinite: TRAIN-092.
    """
    spoilt = [
        name
        for name, weight in model.named_parameters()
        if weight.requires_grad and not bool(torch.isfinite(_local(weight)).all())
    ]
    if spoilt:
        raise WeightsNotFinite(step=step, count=len(spoilt), first=spoilt[0], learning_rate=learning_rate)


def require_finite_loss(loss: float, step: int, learning_rate: float) -> None:
    """The validation rows have a finite loss.

    Raises:
        ValidationNotFinite: TRAIN-091.
    """
    if not math.isfinite(loss):
        raise ValidationNotFinite(step=step, loss=str(loss), learning_rate=learning_rate)


def _local(weight: torch.Tensor) -> torch.Tensor:
    """The part of a distributed weight that lies here."""
    found: torch.Tensor = weight.detach()
    return found.to_local() if hasattr(found, "to_local") else found
