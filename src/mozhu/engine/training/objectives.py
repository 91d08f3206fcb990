"""What is made small: losses of preferences, of marked answers and of rewards, from log-probabilities.

All take float32 tensors of shape (rows,) and give the loss of each row.
"""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid


def dpo_loss(
    wanted: torch.Tensor, unwanted: torch.Tensor, beta: float, kind: str = "sigmoid", smoothing: float = 0.0
) -> torch.Tensor:
    """Direct preference optimisation (Rafailov et al., 2023, arXiv:2305.18290).

    Args:
        wanted: log-probability of the wanted answer less that of the reference model; ``unwanted`` likewise.
            For ``ipo`` (Azar et al., 2023, arXiv:2310.12036) both are means over the answer's tokens.
        kind: ``sigmoid``, ``hinge`` (Zhao et al., 2023, arXiv:2305.10425) or ``ipo``.
        smoothing: The share of pairs that are believed to be the wrong way round (sigmoid only).
    """
    apart = wanted - unwanted
    if kind == "hinge":
        return torch.relu(1 - beta * apart)
    if kind == "ipo":
        return (apart - 1 / (2 * beta)) ** 2
    return -(1 - smoothing) * logsigmoid(beta * apart) - smoothing * logsigmoid(-beta * apart)


def kto_loss(
    ratio: torch.Tensor,
    label: torch.Tensor,
    divergence: torch.Tensor,
    beta: float,
    wanted_weight: float = 1.0,
    unwanted_weight: float = 1.0,
) -> torch.Tensor:
    """Kahneman-Tversky optimisation (Ethayarajh et al., 2024, arXiv:2402.01306).

    Args:
        ratio: log-probability of the answer less that of the reference model.
        label: true where the answer is wanted.
        divergence: One number, at least 0: the mean ``ratio`` of answers that belong to other questions.
    """
    gain = torch.where(label, ratio - divergence, divergence - ratio)
    weight = torch.where(label, wanted_weight, unwanted_weight)
    return weight * (1 - torch.sigmoid(beta * gain))


def orpo_loss(wanted: torch.Tensor, unwanted: torch.Tensor, beta: float) -> torch.Tensor:
    """The odds-ratio term of ORPO (Hong et al., 2024, arXiv:2403.07691, equations 4 and 7).

    The whole loss is this plus the mean cross-entropy of the wanted answers. ``wanted`` and ``unwanted`` are mean
    log-probabilities a token.
    """
    odds = (wanted - unwanted) - (_log1mexp(wanted) - _log1mexp(unwanted))
    return -beta * logsigmoid(odds)


def reward_loss(wanted: torch.Tensor, unwanted: torch.Tensor) -> torch.Tensor:
    """Bradley-Terry: the wanted answer's reward should be the larger one."""
    return -logsigmoid(wanted - unwanted)


def _log1mexp(value: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(value)) for value < 0, accurate near 0 and far from it (Mächler, 2012)."""
    value = value.clamp(max=-1e-7)
    near = value > -0.6931471805599453
    return torch.where(near, torch.log(-torch.expm1(value)), torch.log1p(-torch.exp(value)))
