"""Log-probabilities of learned tokens, a piece of the vocabulary's logits at a time; computed again going back."""

from __future__ import annotations

from typing import Any

import torch

from mozhu.engine.training.engines.flat.loss import CHUNK_LOGITS, LEAST_ROWS, Room


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
        rows = max(LEAST_ROWS, CHUNK_LOGITS // weight.shape[0])
        room = Room(min(rows, len(hidden)), weight)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits = room.logits(hidden[part], weight, bias)
            if softcap:
                logits = torch.tanh(logits / softcap) * softcap
            told = logits.gather(1, targets[part, None]).squeeze(1)
            found[part] = told - torch.logsumexp(logits, dim=-1)
        ctx.save_for_backward(hidden, targets, weight, bias)
        ctx.softcap = softcap
        return found

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        hidden, targets, weight, bias = ctx.saved_tensors
        wants_hidden, _, wants_weight, wants_bias, _ = ctx.needs_input_grad
        grad_hidden = torch.empty_like(hidden) if wants_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if wants_bias else None
        rows = max(LEAST_ROWS, CHUNK_LOGITS // weight.shape[0])
        room = Room(min(rows, len(hidden)), weight)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits, slope = room.logits(hidden[part], weight, bias), None
            if ctx.softcap:
                bent = torch.tanh(logits / ctx.softcap)
                slope, logits = 1 - bent * bent, bent * ctx.softcap
            share = torch.softmax(logits, dim=-1)
            share.mul_(-grad[part, None])
            share.scatter_add_(1, targets[part, None], grad[part, None])
            if slope is not None:
                share *= slope
            narrow = room.narrow(share)
            if grad_hidden is not None:
                torch.mm(narrow, weight, out=grad_hidden[part])
            if grad_weight is not None:
                grad_weight += (narrow.T @ hidden[part]).float()
            if grad_bias is not None:
                grad_bias += share.sum(0)
        return (
            grad_hidden,
            None,
            None if grad_weight is None else grad_weight.to(weight.dtype),
            None if grad_bias is None else grad_bias.to(bias.dtype),
            None,
        )
