"""What a spec says of the optimiser reaches it: its kind, its constants, and the rate of every step."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Trainer

from mozhu.engine.training.engines.swift.fields import OPTIMISER, TABLE
from mozhu.engine.training.optimiser import optimiser_arguments
from mozhu.engine.training.run import run_training
from mozhu.specs.train import TrainSpec
from mozhu.specs.train_fields import idle_fields


@pytest.fixture
def optimisers(monkeypatch: pytest.MonkeyPatch) -> list[torch.optim.Optimizer]:
    """Every optimiser that Trainer makes, as it makes it."""
    made: list[torch.optim.Optimizer] = []
    original = Trainer.create_optimizer

    def create(self: Any, *args: Any, **named: Any) -> Any:
        made.append(original(self, *args, **named))
        return made[-1]

    monkeypatch.setattr(Trainer, "create_optimizer", create)
    return made


def test_adams_constants_reach_it(
    spec: Any, tmp_path: Path, events: Any, optimisers: list[torch.optim.Optimizer]
) -> None:
    asked = spec(max_steps=1, adam_beta1=0.8, adam_beta2=0.95, adam_epsilon=1e-6, weight_decay=0.01)
    run_training(asked, tmp_path / "run", events)
    (made,) = optimisers
    assert isinstance(made, torch.optim.AdamW)
    group = made.param_groups[0]
    assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.8, 0.95), 1e-6, 0.01)


def test_adafactor_trains_and_keeps_no_second_moments(
    spec: Any, tmp_path: Path, events: Any, optimisers: list[torch.optim.Optimizer]
) -> None:
    run_training(spec(max_steps=3, optimizer="adafactor"), tmp_path / "run", events)
    (made,) = optimisers
    assert type(made).__name__ == "Adafactor"
    kept = sum(
        item.numel() for state in made.state.values() for item in state.values() if torch.is_tensor(item)
    )
    assert kept < sum(item.numel() for group in made.param_groups for item in group["params"])
    losses = [event["loss"] for event in events.of("step")]
    assert losses[-1] < losses[0]


def test_adamw_in_8_bits_keeps_its_states_in_bytes(
    spec: Any, tmp_path: Path, events: Any, optimisers: list[torch.optim.Optimizer]
) -> None:
    pytest.importorskip("bitsandbytes")
    run_training(spec(max_steps=3, optimizer="adamw_8bit", lora_rank=64), tmp_path / "run", events)
    (made,) = optimisers
    kinds = {state["state1"].dtype for state in made.state.values() if "state1" in state}
    assert torch.uint8 in kinds
    losses = [event["loss"] for event in events.of("step")]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        ({"lr_scheduler": "constant_with_warmup", "warmup_steps": 2}, lambda step: min(1.0, step / 2)),
        ({"lr_scheduler": "constant", "warmup_steps": 2}, lambda step: 1.0),
        (
            {"lr_scheduler": "cosine_with_min_lr", "min_lr_ratio": 0.25, "warmup_steps": 0},
            lambda step: 0.25 + 0.75 * (1 + math.cos(math.pi * step / 6)) / 2,
        ),
        ({"lr_scheduler": "linear", "warmup_ratio": 0.3}, lambda step: min(step / 2, (6 - step) / 4)),
        (
            {"lr_scheduler": "inverse_sqrt", "warmup_steps": 2},
            lambda step: min(step / 2, math.sqrt(2 / max(1, step))),
        ),
    ],
)
def test_the_rate_of_every_step_is_that_of_its_formula(
    spec: Any, tmp_path: Path, events: Any, changes: dict[str, Any], shape: Any
) -> None:
    run_training(spec(**changes), tmp_path / "run", events)
    rates = [event["lr"] for event in events.of("step")]
    assert rates == pytest.approx([5e-3 * shape(step) for step in range(6)], abs=1e-9)


def test_without_a_limit_gradients_are_not_clipped(spec: Any, tmp_path: Path, events: Any) -> None:
    run_training(spec(max_steps=2, max_grad_norm=0.0), tmp_path / "run", events)
    assert len(events.of("step")) == 2
    free = optimiser_arguments(spec(max_grad_norm=0.0), 10)
    assert free["max_grad_norm"] == 0.0


def test_the_other_engine_gets_the_same_arguments() -> None:
    assert set(OPTIMISER) == set(optimiser_arguments(TrainSpec(model="m", dataset="d"), 10)) <= set(TABLE)


def test_a_field_of_another_schedule_or_optimiser_is_refused_when_typed() -> None:
    asked = TrainSpec(model="m", dataset="d", optimizer="adafactor", min_lr_ratio=0.2, adam_beta1=0.8)
    typed = {"min_lr_ratio": "flag", "adam_beta1": "flag"}
    assert idle_fields(asked, typed) == {
        "min_lr_ratio": "cosine_with_min_lr",
        "adam_beta1": "adamw, adamw_8bit",
    }
