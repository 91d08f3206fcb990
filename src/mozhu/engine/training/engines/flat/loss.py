"""Cross-entropy only where something is learned, a piece of the vocabulary's logits at a time.

The logits of a whole batch are the largest tensor of a training step (tokens x vocabulary, in float32 three times
over). Here they exist for one chunk of places at a time: its loss and its gradient are computed together and only
the gradient of the hidden states (places x width) stays, as in Liger Kernel's fused linear cross-entropy (Hsu et
al., 2024, arXiv:2410.10989).
"""

from __future__ import annotations

from typing import Any

import torch

# So many logits at once: 64 MiB of float32.
CHUNK_LOGITS = 1 << 24
LEAST_ROWS = 32


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


class Room:
    """Memory for the logits of one chunk, taken once: fresh pages for each chunk cost as much as its arithmetic."""

    def __init__(self, rows: int, weight: torch.Tensor) -> None:
        self._narrow = torch.empty(rows, weight.shape[0], dtype=weight.dtype, device=weight.device)
        self._wide = (
            self._narrow
            if weight.dtype == torch.float32
            else torch.empty(rows, weight.shape[0], dtype=torch.float32, device=weight.device)
        )

    def logits(self, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Logits in float32, in the room's own memory."""
        narrow = self._narrow[: len(hidden)]
        torch.mm(hidden, weight.T, out=narrow)
        if bias is not None:
            narrow += bias
        return self._wide[: len(hidden)].copy_(narrow) if self._wide is not self._narrow else narrow

    def narrow(self, wide: torch.Tensor) -> torch.Tensor:
        """``wide`` in the weight's number type."""
        return self._narrow[: len(wide)].copy_(wide) if self._wide is not self._narrow else wide


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
        wanted = [hidden.requires_grad, weight.requires_grad, bias is not None and bias.requires_grad]
        grad_hidden = torch.empty_like(hidden) if wanted[0] else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wanted[1] else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if wanted[2] and bias is not None else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        rows = max(LEAST_ROWS, CHUNK_LOGITS // weight.shape[0])
        room = Room(min(rows, len(hidden)), weight)
        for start in range(0, len(hidden), rows):
            part, wanted_ids = hidden[start : start + rows], targets[start : start + rows]
            logits = room.logits(part, weight, bias)
            slope = None
            if softcap:
                bent = torch.tanh(logits / softcap)
                slope, logits = 1 - bent * bent, bent * softcap
            told = logits.gather(1, wanted_ids[:, None])
            peaks = logits.amax(dim=-1, keepdim=True)
            logits.sub_(peaks).exp_()
            sums = logits.sum(dim=-1, keepdim=True)
            total += (sums.log() + peaks - told).sum()
            if not any(wanted):
                continue
            logits *= scale / sums
            logits.scatter_add_(1, wanted_ids[:, None], torch.full_like(peaks, -scale))
            if slope is not None:
                logits *= slope
            grad = room.narrow(logits)
            if grad_hidden is not None:
                torch.mm(grad, weight, out=grad_hidden[start : start + rows])
            if grad_weight is not None:
                grad_weight += (grad.T @ part).float()
            if grad_bias is not None:
                grad_bias += logits.sum(0)
        ctx.save_for_backward(
            grad_hidden,
            None if grad_weight is None else grad_weight.to(weight.dtype),
            None if grad_bias is None or bias is None else grad_bias.to(bias.dtype),
        )
        return total * scale

    @staticmethod
    def backward(ctx: Any, grad_total: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        once = grad_total.item() == 1.0
        found = [
            grad if grad is None or once else grad * grad_total.to(grad.dtype) for grad in ctx.saved_tensors
        ]
        return found[0], None, found[1], found[2], None, None
