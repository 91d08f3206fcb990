"""How far two models agree on the next token, position by position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from mozhu.engine.scoring.perplexity import padded_logits
from mozhu.engine.scoring.watching import each

# Two tokens whose log-probabilities differ by less (5 % in probability) are a tie that any rounding may
# decide.
NEAR_TIE = 0.05
LogitSource = Callable[[Sequence[int]], torch.Tensor]


@dataclass(frozen=True)
class Agreement:
    """Over all ``positions``.

    ``max_abs`` is the largest difference of two logits, ``kl_mean`` the mean Kullback-Leibler divergence of b
    from a in nats, ``top1`` the share of positions where both find the same token most likely (or one that
    for a is within ``NEAR_TIE`` of it), and ``largest`` the largest absolute logit of a.
    """

    max_abs: float
    kl_mean: float
    top1: float
    positions: int
    largest: float

    def to_json(self) -> dict[str, float | int]:
        return asdict(self)


def compare_logits(model_a: Any, model_b: Any, rows_ids: Sequence[Sequence[int]]) -> Agreement:
    """The agreement of two models on rows of token ids.

    A model is a transformers or PEFT model, a llama.cpp one (``logits(ids)``), or a function from ids to
    logits of shape (tokens, vocabulary).
    """
    first, second = logit_source(model_a), logit_source(model_b)
    return agreement_of((first(ids), second(ids)) for ids in rows_ids)


def agreement_of(logit_pairs: Any) -> Agreement:
    """The agreement over pairs of logits, each of shape (tokens, vocabulary)."""
    largest_gap = largest = kl_sum = 0.0
    same = positions = 0
    for left, right in logit_pairs:
        width = min(left.shape[-1], right.shape[-1])
        a, b = left[:, :width].float(), right[:, :width].float()
        largest_gap = _worse(largest_gap, float((a - b).abs().max()))
        largest = _worse(largest, float(a.abs().max()))
        kl_sum += _kl(a, b)
        chosen = a.gather(-1, b.argmax(-1, keepdim=True)).squeeze(-1)
        same += int((chosen >= a.max(-1).values - NEAR_TIE).sum())
        positions += a.shape[0]
    count = max(positions, 1)
    return Agreement(largest_gap, kl_sum / count, same / count, positions, largest)


def agreement_with(
    recorded: Sequence[torch.Tensor], model: Any, rows_ids: Sequence[Sequence[int]]
) -> Agreement:
    """The agreement of recorded logits with those of ``model`` on the same rows, one row at a time."""
    source = logit_source(model)
    return agreement_of(
        (logits, source(ids).float().cpu()) for logits, ids in zip(recorded, each(rows_ids), strict=True)
    )


def mean_loss(logits: Sequence[torch.Tensor], rows_ids: Sequence[Sequence[int]]) -> float:
    """Mean negative log-likelihood in nats of each token after the first of its row; perplexity is its exponential."""
    total, count = 0.0, 0
    for row, ids in zip(logits, rows_ids, strict=True):
        if len(ids) > 1:
            wanted = torch.tensor(list(ids[1:]))
            width = int(wanted.max()) + 1
            scored = row[:-1] if row.shape[-1] >= width else torch.full((len(ids) - 1, width), float("nan"))
            total += float(torch.nn.functional.cross_entropy(scored.double(), wanted, reduction="sum"))
            count += len(ids) - 1
    return total / max(count, 1)


def record_logits(model: Any, rows_ids: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The logits of each row on the CPU in float32: one model can be freed before the next is loaded."""
    source = logit_source(model)
    return [source(ids).float().cpu() for ids in each(rows_ids)]


def logit_source(model: Any) -> LogitSource:
    """``model`` as a function from token ids to logits, shape (tokens, vocabulary)."""
    if isinstance(model, torch.nn.Module):
        return lambda ids: padded_logits(model, [ids])[0].cpu()
    if hasattr(model, "logits"):
        return lambda ids: torch.as_tensor(model.logits(list(ids)))
    source: LogitSource = model
    return source


def _kl(a: torch.Tensor, b: torch.Tensor) -> float:
    """Summed over positions, in nats."""
    log_p, log_q = torch.log_softmax(a.double(), -1), torch.log_softmax(b.double(), -1)
    return float((log_p.exp() * (log_p - log_q)).sum())


def _worse(seen: float, new: float) -> float:
    """The larger one; not-a-number wins, so that it is never hidden."""
    return new if new != new or new > seen else seen
