"""Trains the starter model from random weights: masked chat loss through the shipped template."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import Qwen2Config

from .strings import Strings
from .tokenizer import END, PAD, START
from .world import Conversation, World

CONTEXT = 2048  # tokens
IGNORED = -100


@dataclass
class Plan:
    """How long and how fast to train.

    ``tokens`` is per step, padding included.  The first ``dense`` steps, and later one step in
    ``dense_every``, see repeated random tokens instead of conversations.
    """

    steps: int = 3000
    dense: int = 60
    dense_every: int = 16
    tokens: int = 2048
    peak: float = 2e-3
    warmup: int = 100
    world_share: float = 0.75
    minutes: float = 30.0


def config(vocabulary: int, ids: dict[str, int]) -> Qwen2Config:
    """The architecture: widths are multiples of 256 so that GGUF's K-quants apply to every matrix."""
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=256,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        use_sliding_window=False,
        attention_dropout=0.0,
        initializer_range=0.02,
        bos_token_id=None,
        eos_token_id=ids[END],
        pad_token_id=ids[PAD],
    )


class Encoder:
    """Turns conversations into ids and a mask of the tokens that carry loss."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.head: list[int] = tokenizer.encode(f"{START}assistant\n", add_special_tokens=False)
        self.end: int = tokenizer.convert_tokens_to_ids(END)

    def __call__(self, conversations: list[Conversation]) -> list[tuple[list[int], list[int]]]:
        """Ids and labels of each conversation; only the assistant's tokens and their end are labelled."""
        texts = self.tokenizer.apply_chat_template(conversations, tokenize=False)
        rows = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return [(ids, self._labels(ids)) for ids in rows]

    def _labels(self, ids: list[int]) -> list[int]:
        labels = [IGNORED] * len(ids)
        size, i = len(self.head), 0
        while i < len(ids):
            if ids[i : i + size] != self.head:
                i += 1
                continue
            i += size
            while i < len(ids):
                labels[i] = ids[i]
                i += 1
                if ids[i - 1] == self.end:
                    break
        return labels


def dense_batch(
    step: int, plan: Plan, usable: torch.Tensor, rng: random.Random
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random tokens said two to four times over; every token after the first time carries loss.

    The repeated part grows from a few tokens to forty, because copying is found on short ones first.
    """
    longest = min(40, 4 + step * 40 // max(1, plan.dense))
    length, times = rng.randint(2, longest), rng.randint(2, 4)
    generator = torch.Generator().manual_seed(rng.getrandbits(62))
    rows = plan.tokens // (length * times)
    inputs = usable[torch.randint(len(usable), (rows, length), generator=generator)].repeat(1, times)
    labels = inputs.clone()
    labels[:, :length] = IGNORED
    return inputs, labels


def batches(
    world: World,
    strings: Strings,
    encoder: Encoder,
    plan: Plan,
    seed: int,
    usable: torch.Tensor,
    seen: Counter[int],
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless padded batches of at most ``plan.tokens`` tokens.

    Args:
        usable: the ids that repeated random tokens are drawn from.
        seen: counts the ids that carried loss.
    """

    def counted(batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        seen.update(batch[1][batch[1] != IGNORED].tolist())
        return batch

    rng = random.Random(seed)
    pad = encoder.tokenizer.pad_token_id
    step = 0
    while step < plan.dense:
        yield counted(dense_batch(step, plan, usable, rng))
        step += 1
    while True:
        strings.reach = min(1.0, 0.15 + 1.7 * (step - plan.dense) / max(1, plan.steps - plan.dense))
        rows: list[tuple[list[int], list[int]]] = []
        total = 0
        while total < plan.tokens * 16:  # sorted by length in a window: little padding, still well mixed
            drawn = [(world if rng.random() < plan.world_share else strings).draw(rng) for _ in range(256)]
            fresh = [row for row in encoder(drawn) if len(row[0]) <= CONTEXT // 4]
            rows += fresh
            total += sum(len(ids) for ids, _ in fresh)
        rows.sort(key=lambda row: len(row[0]))
        groups: list[list[tuple[list[int], list[int]]]] = [[]]
        for row in rows:
            if (len(groups[-1]) + 1) * len(row[0]) > plan.tokens:
                groups.append([])
            groups[-1].append(row)
        groups = groups[:-1]  # the last one is not full
        rng.shuffle(groups)
        for group in groups:
            width = max(len(ids) for ids, _ in group)
            inputs = torch.tensor([ids + [pad] * (width - len(ids)) for ids, _ in group])
            labels = torch.tensor([lab + [IGNORED] * (width - len(lab)) for _, lab in group])
            yield counted((inputs, labels))
            step += 1
            if step % plan.dense_every == 0:
                yield counted(dense_batch(step, plan, usable, rng))
                step += 1


def rate(step: int, plan: Plan) -> float:
    """The learning rate of a step: linear warm-up, then a cosine down to 1 % of the peak."""
    if step < plan.warmup:
        return plan.peak * (step + 1) / plan.warmup
    done = (step - plan.warmup) / max(1, plan.steps - plan.warmup)
    return plan.peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def loss_of(model: Any, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean loss over the labelled tokens; the vocabulary's scores are computed for those only."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=inputs, use_cache=False).last_hidden_state[:, :-1]
        wanted = labels[:, 1:].reshape(-1)
        keep = torch.nonzero(wanted != IGNORED).squeeze(1)
        # few different sizes: the matrix library prepares (and keeps) code for each size it meets
        spare = torch.zeros(-len(keep) % 256, dtype=keep.dtype)
        scores = model.lm_head(hidden.reshape(-1, hidden.shape[-1])[torch.cat([keep, spare])])
    targets = torch.cat([wanted[keep], torch.full_like(spare, IGNORED)])
    return functional.cross_entropy(scores.float(), targets, ignore_index=IGNORED)


def train(
    model: Any,
    world: World,
    strings: Strings,
    tokenizer: Any,
    plan: Plan,
    seed: int,
    usable: list[int],
) -> Counter[int]:
    """Train in place and return how often each id carried loss.

    Args:
        usable: the ids that can occur in text.

    Raises:
        TimeoutError: after 100 steps the whole run is expected to take longer than ``plan.minutes``.  The
            number of steps is never cut to fit: the same seed must give the same model.
    """
    matrices = [p for n, p in model.named_parameters() if p.dim() == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if not (p.dim() == 2 and "embed" not in n)]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}],
        lr=plan.peak,
        betas=(0.9, 0.98),
        fused=True,
    )
    seen: Counter[int] = Counter()
    source = batches(world, strings, Encoder(tokenizer), plan, seed, torch.tensor(usable), seen)
    model.train()
    start, tokens, recent = time.monotonic(), 0, 0.0
    for step in range(plan.steps):
        inputs, labels = next(source)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, plan)
        loss: Any = loss_of(model, inputs, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += inputs.numel()
        recent = loss.item() if step == 0 else 0.95 * recent + 0.05 * loss.item()
        if (step + 1) % 50 == 0 or step + 1 == plan.steps:
            spent = time.monotonic() - start
            left = spent / (step + 1) * (plan.steps - step - 1)
            print(
                f"step {step + 1}/{plan.steps}  loss {recent:.3f}  {tokens / spent:,.0f} tokens/s  "
                f"ETA {left / 60:.1f} min",
                flush=True,
            )
            if step + 1 == 100 and (spent + left) / 60 > plan.minutes:
                raise TimeoutError(
                    f"training would take {(spent + left) / 60:.0f} of {plan.minutes:.0f} minutes"
                )
    model.eval()
    return seen
