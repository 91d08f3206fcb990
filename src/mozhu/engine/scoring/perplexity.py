"""How well a model predicts given text: log-likelihood over the scored tokens only.

Perplexity is exp(total negative log-likelihood / scored tokens), never a mean of means: a long row weighs as
much as its tokens. Bits per byte divide by the UTF-8 bytes of the scored text instead, so that models with
different tokenizers can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

# At most this many logits at a time (float32: 512 MB): long rows go in smaller batches.
_LOGITS_AT_ONCE = 1 << 27
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Example:
    """Token ids and which of them count; the first token of a text is never predicted and never counts.

    ``text_bytes`` are the UTF-8 bytes of the counted text.
    """

    ids: tuple[int, ...]
    scored: tuple[bool, ...]
    text_bytes: int = 0


@dataclass(frozen=True)
class RowScore:
    """``nll`` in nats, summed over ``tokens`` predicted tokens."""

    nll: float
    tokens: int
    text_bytes: int = 0

    @property
    def perplexity(self) -> float:
        return _exp(self.nll / self.tokens) if self.tokens else float("nan")


@dataclass(frozen=True)
class Likelihood:
    """All rows together."""

    rows: tuple[RowScore, ...]

    def parts(self) -> np.ndarray:
        """Shape (rows, 3): nats, tokens, bytes."""
        return np.array([[r.nll, r.tokens, r.text_bytes] for r in self.rows], dtype=np.float64).reshape(-1, 3)

    @property
    def tokens(self) -> int:
        return sum(row.tokens for row in self.rows)

    @property
    def perplexity(self) -> float:
        return perplexity_of(self.parts().sum(axis=0))

    @property
    def bits_per_byte(self) -> float:
        return bits_per_byte_of(self.parts().sum(axis=0))


def perplexity_of(sums: np.ndarray) -> float:
    """From summed parts (nats, tokens, bytes)."""
    return _exp(float(sums[0] / sums[1])) if sums[1] else float("nan")


def bits_per_byte_of(sums: np.ndarray) -> float:
    return float(sums[0] / math.log(2) / sums[2]) if sums[2] else float("nan")


def score_rows(
    model: Any,
    examples: Sequence[Example],
    *,
    batch_size: int = 8,
    limit: int | None = None,
    progress: Progress | None = None,
) -> list[RowScore]:
    """The score of every example, in order.

    Examples are batched by length with the padding on the right and masked, which changes no number beyond
    rounding. A text longer than ``limit`` tokens (default: the model's context) is read in windows that
    overlap by half; every token is counted once, with the longest context there is.
    """
    limit = limit or context_length(model)
    pieces = [(index, piece) for index, example in enumerate(examples) for piece in _windows(example, limit)]
    pieces.sort(key=lambda item: -len(item[1].ids))
    sums = [RowScore(0.0, 0, example.text_bytes) for example in examples]
    done = 0
    for batch in _batches(pieces, batch_size, _vocabulary(model)):
        for (index, _), (nll, tokens) in zip(batch, _score_batch(model, [p for _, p in batch]), strict=True):
            sums[index] = replace(sums[index], nll=sums[index].nll + nll, tokens=sums[index].tokens + tokens)
        done += len(batch)
        if progress:
            progress(done, len(pieces))
    return sums


def calculate_perplexity(model: Any, tokenizer: Any, test_texts: Sequence[str]) -> float:
    """The perplexity of ``model`` over ``test_texts``: exp(total negative log-likelihood / predicted tokens).

    The signature of the guide on LoRA; each text weighs as many tokens as it has predicted ones (n - 1 of n).
    """
    model.eval()
    examples = []
    for text in test_texts:
        ids = tuple(tokenizer(text)["input_ids"])
        examples.append(Example(ids, (True,) * len(ids), len(text.encode("utf-8"))))
    return Likelihood(tuple(score_rows(model, examples))).perplexity


def context_length(model: Any) -> int:
    """The model's context in tokens; 2,048 where its configuration does not say."""
    config: Any = getattr(model, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return int(getattr(text, "max_position_embeddings", None) or 2048)


def _windows(example: Example, limit: int) -> Iterator[Example]:
    length = len(example.ids)
    start, counted = 0, 0
    while True:
        end = min(start + limit, length)
        scored = tuple(example.scored[i] and i >= counted and i > start for i in range(start, end))
        yield Example(example.ids[start:end], scored)
        if end >= length:
            return
        counted, start = end, start + max(limit // 2, 1)


def _batches(
    pieces: list[tuple[int, Example]], size: int, vocabulary: int
) -> Iterator[list[tuple[int, Example]]]:
    """Runs of ``pieces`` (longest first) of at most ``size`` rows whose logits fit into memory."""
    start = 0
    while start < len(pieces):
        longest = max(len(pieces[start][1].ids), 1)
        count = max(1, min(size, _LOGITS_AT_ONCE // (longest * vocabulary)))
        yield pieces[start : start + count]
        start += count


@torch.inference_mode()
def _score_batch(model: Any, examples: list[Example]) -> list[tuple[float, int]]:
    logits = padded_logits(model, [example.ids for example in examples])
    return [_score_one(row, example) for row, example in zip(logits, examples, strict=True)]


@torch.inference_mode()
def padded_logits(model: Any, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The logits of each row, shape (its tokens, vocabulary), from one forward pass padded on the right."""
    width = max((len(row) for row in rows), default=0)
    if not width:
        return [torch.zeros(0, _vocabulary(model)) for _ in rows]
    device = next(model.parameters()).device
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask = torch.zeros(len(rows), width, dtype=torch.long)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(list(row), dtype=torch.long)
        mask[index, : len(row)] = 1
    logits = model(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).logits
    return [logits[index, : len(row)] for index, row in enumerate(rows)]


def _score_one(logits: torch.Tensor, example: Example) -> tuple[float, int]:
    """Nats and count over the scored tokens; position i is predicted by the logits at i - 1."""
    places = [i for i in range(1, len(example.ids)) if example.scored[i]]
    if not places:
        return 0.0, 0
    before = torch.tensor([i - 1 for i in places], device=logits.device)
    targets = torch.tensor([example.ids[i] for i in places], device=logits.device)
    losses = torch.nn.functional.cross_entropy(logits[before].float(), targets, reduction="none")
    return float(losses.double().sum()), len(places)


def _vocabulary(model: Any) -> int:
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    return int(config.vocab_size)


def _exp(value: float) -> float:
    try:
        return math.exp(value)
    except OverflowError:
        return math.inf
