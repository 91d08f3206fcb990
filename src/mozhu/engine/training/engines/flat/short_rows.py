"""Causal attention of one short row on a CPU: whole score matrices and plain batched products.

PyTorch's fused attention cuts a row into blocks, which pays for long rows. Of a row of a few hundred tokens the
whole matrix of scores fits a cache, the heads that share a key are one product, and forward and backward together
take about half the time (measured: 60 to 400 tokens, bfloat16, one thread).
"""

from __future__ import annotations

from typing import Any

import torch

from mozhu.engine.training.engines.flat.thrift import WIDE

# Scores of all heads of one row, above which the fused attention is as fast and needs less memory.
MOST_SCORES = 2_500_000


def short_row_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, hidden: torch.Tensor
) -> torch.Tensor:
    """Attention of ``query`` (1, heads, length, size) to ``key`` and ``value`` (1, key heads, length, size).

    ``hidden`` (length, length) is true where a token (row) must not see another (column).
    """
    found: torch.Tensor = _ShortRow.apply(query, key, value, scale, hidden)
    return found


class _ShortRow(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        scale: float,
        hidden: torch.Tensor,
    ) -> torch.Tensor:
        heads, length, size = query.shape[1:]
        shared = key.shape[1]
        grouped = query.reshape(shared, heads // shared * length, size)
        weights = _weights(grouped, key, scale, hidden)
        ctx.keeps = heads * size < WIDE
        ctx.save_for_backward(grouped, key, value, weights if ctx.keeps else hidden)
        ctx.scale = scale
        return torch.bmm(weights, value[0]).view(1, heads, length, value.shape[-1])

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grouped, key, value, kept = ctx.saved_tensors
        weights = kept if ctx.keeps else _weights(grouped, key, ctx.scale, kept)
        shared, _, length = weights.shape
        rows = grad.reshape(shared, -1, grad.shape[-1])
        grad_value = torch.bmm(weights.transpose(1, 2), rows)
        slopes = torch.bmm(rows, value[0].transpose(1, 2)).float().mul_(weights)
        slopes.addcmul_(weights.to(slopes.dtype), slopes.sum(-1, keepdim=True), value=-1.0)
        slopes = slopes.mul_(ctx.scale).to(grouped.dtype)
        grad_key = torch.bmm(slopes.transpose(1, 2), grouped)
        grad_query = torch.bmm(slopes, key[0]).view(1, -1, length, grouped.shape[-1])
        return grad_query, grad_key[None], grad_value[None], None, None


def _weights(grouped: torch.Tensor, key: torch.Tensor, scale: float, hidden: torch.Tensor) -> torch.Tensor:
    """How much each query (key heads, queries, size) takes of each token, shape (key heads, queries, length)."""
    shared, length = grouped.shape[0], key.shape[2]
    scores = torch.bmm(grouped, key[0].transpose(1, 2)).float().view(-1, length, length)
    scores.mul_(scale).masked_fill_(hidden, float("-inf"))
    return torch.softmax(scores, dim=-1).to(grouped.dtype).view(shared, -1, length)
