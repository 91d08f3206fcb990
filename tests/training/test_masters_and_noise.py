"""Weights of half the width learn what would be lost in rounding; noise is as large as NEFTune says, row by row."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from mozhu.engine.data.tokens import Example
from mozhu.engine.training.engines.flat.batch import flatten
from mozhu.engine.training.engines.flat.forward import make_flat
from mozhu.engine.training.engines.masters import MasterWeights, needs_masters
from mozhu.engine.training.engines.noise import EmbeddingNoise, most_of_each
from mozhu.engine.training.run import run_training
from mozhu.specs.train_fields import idle_fields


def _weights(dtype: torch.dtype) -> list[torch.nn.Parameter]:
    chance = torch.Generator().manual_seed(0)
    first = torch.rand(40, generator=chance).add(1.0).to(dtype)
    return [torch.nn.Parameter(first), torch.nn.Parameter(torch.ones(5))]  # the second is float32 as it is


def _steps(optimizer: Any, weights: list[torch.nn.Parameter], count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        for item in weights:
            item.grad = torch.full_like(item, 0.5 + 0.25 * (number % 3))
        optimizer.step()


def _adam(weights: list[torch.nn.Parameter]) -> torch.optim.AdamW:
    return torch.optim.AdamW(weights, lr=1e-4, weight_decay=0.0)


def test_steps_that_rounding_would_lose_add_up_to_what_float32_learns() -> None:
    lost, kept, wanted = (_weights(kind) for kind in (torch.bfloat16, torch.bfloat16, torch.float32))
    wanted[0].data.copy_(kept[0].data)
    before = kept[0].detach().clone()
    _steps(_adam(lost), lost, 60)
    _steps(MasterWeights(_adam(kept)), kept, 60)
    _steps(_adam(wanted), wanted, 60)
    assert torch.equal(lost[0], before)  # 1e-4 is less than half the distance of two numbers near 1
    assert torch.equal(kept[0], wanted[0].to(torch.bfloat16)) and not torch.equal(kept[0], before)
    assert torch.equal(kept[1], wanted[1])
    assert needs_masters(torch.nn.ParameterList(kept)) and not needs_masters(torch.nn.ParameterList(wanted))


def test_a_state_that_was_kept_goes_on_bit_by_bit(tmp_path: Path) -> None:
    whole, cut = _weights(torch.bfloat16), _weights(torch.bfloat16)
    one = MasterWeights(_adam(whole))
    _steps(one, whole, 13)
    begun = MasterWeights(_adam(cut))
    _steps(begun, cut, 13)
    for optimizer in (one, begun):
        optimizer.param_groups[0]["lr"] = 3e-4  # as a schedule does after a step
    torch.save(begun.state_dict(), tmp_path / "optimizer.pt")
    again = [torch.nn.Parameter(item.detach().clone()) for item in cut]
    other = MasterWeights(_adam(again))
    other.load_state_dict(torch.load(tmp_path / "optimizer.pt", weights_only=True))
    for optimizer, weights in ((one, whole), (other, again)):
        _steps(optimizer, weights, 18, begin=13)
    assert all(torch.equal(left, right) for left, right in zip(whole, again))
    masters = [kept["master"] for kept in other.state_dict()["state"].values() if "master" in kept]
    assert [item.dtype for item in masters] == [torch.float32]


def test_a_schedule_reaches_the_copies() -> None:
    weights = _weights(torch.bfloat16)
    optimizer = MasterWeights(_adam(weights))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.0 if step else 1.0)
    _steps(optimizer, weights, 1)
    schedule.step()
    before = [item.detach().clone() for item in optimizer.inner.param_groups[0]["params"]]
    _steps(optimizer, weights, 3)
    assert all(torch.equal(*pair) for pair in zip(before, optimizer.inner.param_groups[0]["params"]))


def test_a_full_training_in_half_the_width_has_copies_unless_it_shall_not(
    spec: Any, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[MasterWeights] = []
    build = MasterWeights.__init__

    def seen(self: MasterWeights, inner: Any) -> None:
        build(self, inner)
        made.append(self)

    monkeypatch.setattr(MasterWeights, "__init__", seen)
    asked = {"train_type": "full", "dtype": "bfloat16", "learning_rate": 1e-4, "max_steps": 2}
    run_training(spec(**asked, master_weights=False), tmp_path / "pure", events)
    assert made == []
    run_training(spec(**asked), tmp_path / "run", events)
    (one,) = made
    assert {item.dtype for group in one.param_groups for item in group["params"]} == {torch.bfloat16}
    found = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model")
    assert found.dtype == torch.bfloat16


def _embedded(folder: Path, alpha: float, **given: Any) -> torch.Tensor:
    """How far noise moves what the first layer reads, as a share of the largest that is allowed; (rows, tokens)."""
    network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    EmbeddingNoise(alpha).attach(network)
    seen: list[torch.Tensor] = []
    network.get_input_embeddings().register_forward_hook(lambda *told: seen.append(told[2].detach()))
    if "flat" in given:
        make_flat(network)
    for mode in (network.eval, network.train):
        mode()
        torch.manual_seed(3)
        network(**given)
    assert torch.equal(seen[0], network.get_input_embeddings().weight[_ids(given)])
    return (seen[1] - seen[0]).abs()


def _ids(given: dict[str, Any]) -> torch.Tensor:
    return given["flat"].inputs(torch.device("cpu"))["input_ids"] if "flat" in given else given["input_ids"]


@pytest.mark.parametrize("is_flat", [True, False])
def test_noise_is_bounded_row_by_row_and_only_while_learning(is_flat: bool, tiny: Path) -> None:
    alpha, lengths = 5.0, (40, 10)
    rows = [Example(list(range(5, 5 + length)), list(range(5, 5 + length)), "") for length in lengths]
    if is_flat:
        found = _embedded(tiny, alpha, flat=flatten(rows))[0].split(list(lengths))
    else:
        ids = torch.tensor([list(row.ids) + [0] * (40 - len(row.ids)) for row in rows])
        mask = torch.tensor([[1] * length + [0] * (40 - length) for length in lengths])
        moved = _embedded(tiny, alpha, input_ids=ids, attention_mask=mask)
        assert float(moved[1, 10:].max()) == 0.0  # padding stays
        found = (moved[0], moved[1, :10])
    width = found[0].shape[-1]
    for moved, length in zip(found, lengths):
        most = alpha / math.sqrt(length * width)
        assert 0.9 * most < float(moved.max()) <= most * 1.0001
        assert float(moved.mean()) == pytest.approx(most / 2, rel=0.15)


def test_before_the_tokens_there_may_be_a_prefix() -> None:
    most = most_of_each(torch.zeros(1, 4, 16), None, torch.tensor([[1, 1, 1, 1, 1, 0]]))
    assert most.squeeze().tolist() == pytest.approx([1 / math.sqrt(3 * 16)] * 3 + [0.0])


def test_noise_changes_what_is_learned_and_no_evaluation(spec: Any, tmp_path: Path, events: Any) -> None:
    told = {name: type(events)() for name in ("plain", "noisy")}
    for name, alpha in (("plain", None), ("noisy", 5.0)):
        asked = spec(neftune_noise_alpha=alpha, max_steps=1, learning_rate=1e-9)
        run_training(asked, tmp_path / name, told[name])
    plain, noisy = told["plain"], told["noisy"]
    assert noisy.of("eval")[0]["loss"] == plain.of("eval")[0]["loss"]
    assert noisy.of("step")[0]["loss"] != plain.of("step")[0]["loss"]
    assert noisy.of("step")[0]["loss"] == pytest.approx(plain.of("step")[0]["loss"], rel=0.1)


def test_where_neither_is_read_it_is_refused(spec: Any) -> None:
    typed = {"neftune_noise_alpha": "flag", "master_weights": "flag"}
    assert set(idle_fields(spec(neftune_noise_alpha=5.0, stage="dpo"), typed)) == set(typed)
    assert set(idle_fields(spec(neftune_noise_alpha=5.0, train_type="full"), typed)) == set()
    assert set(idle_fields(spec(neftune_noise_alpha=5.0, train_type="multimodal"), typed)) == set(typed)
