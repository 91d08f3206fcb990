"""Log-probabilities of learned tokens, a piece of the vocabulary's logits at a time; computed again going back."""

from __future__ import annotations

from typing import Any

import torch

from mozhu.engine.training.engines.flat.head import HeadGradients, Room


def token_logps(
    hidden: torch.Tensor,
    targets: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    *,
    softcap: float | None = None,
) -> torch.Tensor:
    """The log-probability of each of ``targets`` (places,) given ``hidden`` (places, width), float32.

    Where the loss is not a sum over tokens (preferences), its gradient is known only after all of them: the logits
    of a chunk are then made a second time, so that those of a whole batch never exist.
    """
    found: torch.Tensor = _TokenLogps.apply(hidden, targets, weight, bias, softcap)
    return found


def row_sums(values: torch.Tensor, rows: torch.Tensor, count: int) -> torch.Tensor:
    """The sum of ``values`` (places,) of each row; ``rows`` (places,) says which, of ``count``."""
    return torch.zeros(count, dtype=values.dtype, device=values.device).index_add(0, rows, values)


class _TokenLogps(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        targets: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        softcap: float | None,
    ) -> torch.Tensor:
        found = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        room = Room(len(hidden), weight, bias, softcap)
        for part in room.chunks(hidden):
            for band, logits, _ in room.bands(part):
                told = logits.gather(1, targets[band, None]).squeeze(1)
                found[band] = told - torch.logsumexp(logits, dim=-1)
        ctx.save_for_backward(hidden, targets, weight, bias)
        ctx.softcap = softcap
        return found

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, targets, weight, bias = ctx.saved_tensors
        wants_hidden, _, wants_weight, wants_bias, _ = ctx.needs_input_grad
        gradients = HeadGradients(hidden, weight, bias, (wants_hidden, wants_weight, wants_bias))
        room = Room(len(hidden), weight, bias, ctx.softcap)
        for part in room.chunks(hidden):
            for band, logits, slope in room.bands(part):
                logits.sub_(logits.logsumexp(-1, keepdim=True)).exp_().mul_(-grad[band, None])
                logits.scatter_add_(1, targets[band, None], grad[band, None])
                if slope is not None:
                    logits *= slope
            gradients.add(part, room.slopes(part))
        grad_hidden, grad_weight, grad_bias = gradients.taken()
        return grad_hidden, None, grad_weight, grad_bias, None
