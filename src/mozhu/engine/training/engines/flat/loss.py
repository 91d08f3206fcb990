"""Cross-entropy only where something is learned, a piece of the vocabulary's logits at a time.

The logits of a whole batch are the largest tensor of a training step (tokens x vocabulary, in float32 three times
over). Here they exist for one chunk of places at a time: its loss and its gradient are computed together and only
the gradient of the hidden states (places x width) stays, as in Liger Kernel's fused linear cross-entropy (Hsu et
al., 2024, arXiv:2410.10989).
"""

from __future__ import annotations

from typing import Any

import torch

from mozhu.engine.training.engines.flat.head import HeadGradients, Room


def label_loss(
    hidden: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    softcap: float | None = None,
    scale: float = 1.0,
) -> torch.Tensor:
    """``scale`` times the sum of the cross-entropies of ``targets`` (places,) given ``hidden`` (places, width).

    ``weight`` (vocabulary, width) is the output layer's; it gets a gradient where it wants one.
    """
    total: torch.Tensor = _LabelLoss.apply(hidden, targets, weight, bias, softcap, scale)
    return total


class _LabelLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        targets: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        softcap: float | None,
        scale: float,
    ) -> torch.Tensor:
        wanted = (hidden.requires_grad, weight.requires_grad, bias is not None and bias.requires_grad)
        gradients = HeadGradients(hidden, weight, bias, wanted)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        room = Room(len(hidden), weight, bias, softcap)
        for part in room.chunks(hidden):
            for band, logits, slope in room.bands(part):
                total += _loss_and_slopes(logits, targets[band, None], scale)
                if slope is not None:
                    logits *= slope
            if gradients.is_wanted:
                gradients.add(part, room.slopes(part))
        ctx.save_for_backward(*gradients.taken())
        return total * scale

    @staticmethod
    def backward(ctx: Any, grad_total: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        once = grad_total.item() == 1.0
        found = [
            grad if grad is None or once else grad * grad_total.to(grad.dtype) for grad in ctx.saved_tensors
        ]
        return found[0], None, found[1], found[2], None, None


def _loss_and_slopes(logits: torch.Tensor, targets: torch.Tensor, scale: float) -> torch.Tensor:
    """The summed cross-entropy; ``logits`` become its gradient times ``scale``."""
    told = logits.gather(1, targets)
    peaks = logits.amax(dim=-1, keepdim=True)
    logits.sub_(peaks).exp_()
    sums = logits.sum(dim=-1, keepdim=True)
    logits *= scale / sums
    logits.scatter_add_(1, targets, torch.full_like(peaks, -scale))
    return (sums.log() + peaks - told).sum()
