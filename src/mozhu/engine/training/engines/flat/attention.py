"""Attention that keeps rows apart: an attention function of transformers, registered under :data:`NAME`.

On a CPU and on devices without a variable-length kernel every row has one call of PyTorch's fused attention of its
own, so the work grows with the sum of the squares of the rows' lengths, not with the square of their sum. On CUDA
``torch.nn.attention.varlen`` does all rows in one kernel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from mozhu.engine.training.engines.flat.short_rows import MOST_SCORES, short_row_attention

try:  # a kernel of CUDA builds only
    from torch.nn.attention import varlen
except ImportError:  # pragma: no cover
    varlen = None  # type: ignore[assignment]

NAME = "mozhu_rows"


def rows_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    row_lengths: list[int] | None = None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside each row of ``row_lengths``; all of it is one row where that is not given.

    ``query`` has shape (1, heads, total, size), ``key`` and ``value`` may have fewer heads; the result has shape
    (1, total, heads, size). ``sliding_window`` counts the tokens that one sees, itself included.
    """
    lengths = row_lengths or [query.shape[2]]
    if _fits_kernel(query, sliding_window, softcap, dropout):
        bounds = more["cu_seq_lens_q"]
        by_token = [item.squeeze(0).transpose(0, 1) for item in (query, key, value)]
        longest = max(lengths)
        told: Any = varlen.varlen_attn(
            by_token[0],
            by_token[1],
            by_token[2],
            bounds,
            bounds,
            longest,
            longest,
            scale=scaling,
            window_size=(-1, 0),
            enable_gqa=key.shape[1] != query.shape[1],
        )
        return told.unsqueeze(0), None
    queries, keys, values = (item.split(lengths, dim=2) for item in (query, key, value))
    found = [
        _one_row(one, two, three, dropout, scaling, sliding_window, softcap)
        for one, two, three in zip(queries, keys, values)
    ]
    return torch.cat([row.transpose(1, 2) for row in found], dim=1), None


def _one_row(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout: float,
    scaling: float | None,
    window: int | None,
    softcap: float | None,
) -> torch.Tensor:
    length, groups = query.shape[2], query.shape[1] // key.shape[1]
    if softcap:
        return _with_softcap(query, key, value, dropout, scaling, window, softcap)
    if query.device.type == "cpu" and not dropout and query.shape[1] * length * length <= MOST_SCORES:
        scale = scaling if scaling is not None else query.shape[-1] ** -0.5
        return short_row_attention(query, key, value, scale, _not_seen(length, window or length))
    mask = _window_mask(length, window, query.device) if window and length > window else None
    return scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=dropout,
        scale=scaling,
        is_causal=mask is None and length > 1,
        enable_gqa=groups > 1,
    )


def _with_softcap(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    dropout: float,
    scaling: float | None,
    window: int | None,
    softcap: float,
) -> torch.Tensor:
    """Scores bounded by ``softcap x tanh(score / softcap)`` (Gemma 2), which no fused kernel of PyTorch does."""
    groups, length = query.shape[1] // key.shape[1], query.shape[2]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    scores = query @ key.transpose(2, 3) * (scaling if scaling is not None else query.shape[-1] ** -0.5)
    scores = torch.tanh(scores / softcap) * softcap
    seen = _window_mask(length, window or length, query.device)
    scores = scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
    weights = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    return torch.dropout(weights, dropout, train=dropout > 0) @ value


def _window_mask(length: int, window: int, device: torch.device) -> torch.Tensor:
    place = torch.arange(length, device=device)
    back = place[:, None] - place[None, :]
    return (back >= 0) & (back < window)


@lru_cache(maxsize=512)
def _not_seen(length: int, window: int) -> torch.Tensor:
    return ~_window_mask(length, window, torch.device("cpu"))


def _fits_kernel(query: torch.Tensor, window: int | None, softcap: float | None, dropout: float) -> bool:
    return (
        varlen is not None
        and query.is_cuda
        and query.dtype in (torch.bfloat16, torch.float16)
        and not window
        and not softcap
        and not dropout
    )


AttentionInterface.register(NAME, rows_attention)
