"""Preferences over pairs of answers: DPO, ORPO and reward models, on flat rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from mozhu.engine.training.engines.flat.batch import FlatBatch, flatten
from mozhu.engine.training.engines.flat.logps import row_sums
from mozhu.engine.training.engines.flat.parts import even_parts
from mozhu.engine.training.objectives import dpo_loss, orpo_loss, reward_loss
from mozhu.engine.training.staged import Pair
from mozhu.specs.train import TrainSpec

# Gives the network whose answers are the reference, for as long as the context lasts.
Reference = Callable[[Any], AbstractContextManager[Any]]


@dataclass(frozen=True)
class PairBatch:
    """``flat`` holds the wanted answers of all pairs, then the unwanted ones in the same order."""

    flat: FlatBatch
    row_ids: list[str]

    @property
    def tokens(self) -> int:
        return self.flat.tokens

    @property
    def items(self) -> int:
        return len(self.row_ids)

    def parts(self, most: int) -> list[PairBatch]:
        """The batch in as few parts as have about ``most`` tokens each; a pair stays together."""
        pairs, lengths = self.items, self.flat.lengths
        chosen = even_parts([lengths[one] + lengths[one + pairs] for one in range(pairs)], most)
        return [self] if len(chosen) == 1 else [self._only(part) for part in chosen]

    def _only(self, pairs: Sequence[int]) -> PairBatch:
        rows = [*pairs, *(one + self.items for one in pairs)]
        return PairBatch(self.flat.only(rows), [self.row_ids[one] for one in pairs])


class _Paired:
    is_padded = False

    def collate(self, examples: Sequence[Pair]) -> PairBatch:
        sides = [pair.wanted for pair in examples] + [pair.unwanted for pair in examples]
        return PairBatch(flatten(sides), [pair.row_id for pair in examples])

    def length(self, example: Pair) -> int:
        return len(example.wanted.ids) + len(example.unwanted.ids)


class DpoObjective(_Paired):
    """Direct preference optimisation; the reference is the model as it was before training."""

    name = "dpo"

    def __init__(self, spec: TrainSpec, reference: Reference) -> None:
        self._spec, self._reference = spec, reference

    def loss(self, network: Any, batch: PairBatch, scale: float) -> tuple[torch.Tensor, dict[str, float]]:
        with torch.no_grad(), self._reference(network) as model:
            before = answer_logps(model, batch.flat)
        ratio = answer_logps(network, batch.flat) - before
        if self._spec.dpo_loss == "ipo":
            ratio = ratio / answer_lengths(batch.flat).to(ratio.device)
        wanted, unwanted = ratio.chunk(2)
        spec = self._spec
        losses = dpo_loss(wanted, unwanted, spec.beta, spec.dpo_loss, spec.label_smoothing)
        return losses.sum() * scale, _figures(spec.beta * wanted, spec.beta * unwanted)


class OrpoObjective(_Paired):
    """Odds-ratio preference optimisation: needs no reference."""

    name = "orpo"

    def __init__(self, spec: TrainSpec) -> None:
        self._beta = spec.beta

    def loss(self, network: Any, batch: PairBatch, scale: float) -> tuple[torch.Tensor, dict[str, float]]:
        sums = answer_logps(network, batch.flat)
        means = sums / answer_lengths(batch.flat).to(sums.device)
        wanted, unwanted = means.chunk(2)
        losses = orpo_loss(wanted, unwanted, self._beta) - wanted
        return losses.sum() * scale, _figures(self._beta * wanted, self._beta * unwanted)


class RewardObjective(_Paired):
    """A reward model: a score at the end of each answer, larger for the wanted one."""

    name = "rm"

    def loss(self, network: Any, batch: PairBatch, scale: float) -> tuple[torch.Tensor, dict[str, float]]:
        wanted, unwanted = network(flat=batch.flat, wanted="scores")["scores"].squeeze(-1).chunk(2)
        return reward_loss(wanted, unwanted).sum() * scale, _figures(wanted, unwanted)


def answer_logps(network: Any, flat: FlatBatch) -> torch.Tensor:
    """The log-probability of each row's learned tokens, shape (rows,)."""
    told = network(flat=flat, wanted="logps")["logps"]
    return row_sums(told, flat.rows.to(told.device), len(flat.lengths))


def answer_lengths(flat: FlatBatch) -> torch.Tensor:
    return torch.bincount(flat.rows, minlength=len(flat.lengths)).clamp(min=1)


def _figures(wanted: torch.Tensor, unwanted: torch.Tensor) -> dict[str, float]:
    """Sums over the pairs: how often the wanted answer's reward is the larger one, and by how much."""
    apart = (wanted - unwanted).detach()
    return {"accuracy": float((apart > 0).sum()), "margin": float(apart.sum())}
