"""Early stopping, the best checkpoint, answers on the way: each tells the truth and none changes the training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from mozhu.engine.training.engines import hf
from mozhu.engine.training.engines.quality import Quality
from mozhu.engine.training.engines.samples import last_answer
from mozhu.engine.training.run import run_training
from mozhu.engine.training.stop import StopFlag
from mozhu.specs.train import TrainSpec

ADAPTER = "lora_adapter/adapter_model.safetensors"
# So large a rate that the loss falls first and rises later.
WILD = {"learning_rate": 0.08, "lr_scheduler": "constant", "max_steps": 12, "eval_steps": 1, "save_steps": 6}


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(path))


def _equal(one: Path, two: Path) -> bool:
    first, second = _tensors(one), _tensors(two)
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _stops_after(steps: int, events: Any) -> type[StopFlag]:
    class Stops(StopFlag):
        @property  # type: ignore[override]
        def is_set(self) -> bool:
            return len(events.of("step")) >= steps

        @is_set.setter
        def is_set(self, value: bool) -> None:
            pass

    return Stops


def test_patience_counts_evaluations_that_are_no_better() -> None:
    quality = Quality(patience=2, delta=0.1)
    losses = [2.0, 1.5, 1.45, 1.0, 0.95, math.nan]
    best = [quality.take(step, {"loss": loss}, 0.0) for step, loss in enumerate(losses, 1)]
    assert best == [True, True, True, True, True, False]
    assert quality.best is not None and quality.best.step == 5, "the lowest one, however little it is lower"
    assert quality.stopped_at == 6
    assert quality.mark == 1.0, "what the next one must be below by delta"


def test_what_a_checkpoint_knew_is_known_again(tmp_path: Path) -> None:
    quality = Quality(patience=3)
    for step, loss in enumerate((2.0, 1.0, math.inf, 1.5), 1):
        quality.take(step, {"loss": loss, "accuracy": 0.5}, 1.0)
    quality.write(tmp_path)
    again = Quality(patience=3)
    again.read(tmp_path)
    assert again == quality
    assert not again.take(4, {"loss": 0.1}, 1.0), "a step that is told again counts once"
    fresh = Quality()
    fresh.read(tmp_path / "nothing")
    assert fresh == Quality()


def test_a_run_stops_early_and_says_so(spec: Any, tmp_path: Path, events: Any) -> None:
    outcome = run_training(spec(**WILD, early_stopping=2), tmp_path / "run", events)
    losses = {event["step"]: event["loss"] for event in events.of("eval") if event["step"]}
    last = max(losses)
    best = min(losses, key=lambda step: losses[step])
    assert last == best + 2 < 12
    (told,) = (event for event in events.of("finding") if event["code"] == "TRAIN-081")
    assert (told["params"]["step"], told["params"]["best"], told["params"]["count"]) == (last, best, 2)
    assert outcome.details["stopped_early_at"] == outcome.details["steps"] == last
    assert outcome.details["best_step"] == best
    assert outcome.metrics["eval_loss"].value == losses[last], "without keep_best: the last step's weights"


def test_keep_best_makes_the_best_evaluation_the_artefact(spec: Any, tmp_path: Path, events: Any) -> None:
    asked = spec(**WILD, keep_best=True, save_total_limit=1)
    outcome = run_training(asked, tmp_path / "run", events)
    losses = {event["step"]: event["loss"] for event in events.of("eval") if event["step"]}
    best = min(losses, key=lambda step: losses[step])
    assert best < 12, "the rate was to be too large"
    assert outcome.details["steps"] == outcome.details["best_step"] == best
    assert outcome.details["last_step"] == 12
    assert outcome.metrics["eval_loss"].value == losses[best]
    kept = tmp_path / "run" / f"checkpoint-{best}" / "adapter_model.safetensors"
    assert _equal(kept, tmp_path / "run" / ADAPTER), "its checkpoint is never rotated away"
    whole = sorted(path.name for path in (tmp_path / "run").glob("checkpoint-[0-9]*"))
    assert whole == sorted({f"checkpoint-{best}", "checkpoint-12"})
    place = tmp_path / "run" / "lora_adapter"
    assert json.loads((place / "model_info.json").read_text("utf-8"))["training_steps"] == best
    assert json.loads((place / "performance_metrics.json").read_text("utf-8"))["best_step"] == best
    # The weights of that step are those of a run that ends there.
    run_training(spec(**{**WILD, "max_steps": best}), tmp_path / "short", type(events)())
    assert _equal(tmp_path / "short" / ADAPTER, tmp_path / "run" / ADAPTER)


@pytest.mark.parametrize(
    "cut", [pytest.param(2, marks=pytest.mark.slow), 5, pytest.param(8, marks=pytest.mark.slow)]
)
def test_early_stopping_and_the_best_survive_a_stop(
    spec: Any, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch, cut: int
) -> None:
    asked = spec(**WILD, early_stopping=4, keep_best=True)
    whole = run_training(asked, tmp_path / "whole", events)
    with monkeypatch.context() as patch:
        stopped = type(events)()
        patch.setattr(hf, "StopFlag", _stops_after(cut, stopped))
        try:
            run_training(asked, tmp_path / "cut", stopped)
            pytest.skip("it had ended before")
        except KeyboardInterrupt:
            pass
    again = run_training(asked, tmp_path / "cut", type(events)())
    for name in ("steps", "best_step", "last_step", "stopped_early_at"):
        assert again.details.get(name) == whole.details.get(name), name
    assert _equal(tmp_path / "whole" / ADAPTER, tmp_path / "cut" / ADAPTER)


def test_a_run_that_was_stopped_early_is_not_trained_on_when_started_again(
    spec: Any, tmp_path: Path, events: Any
) -> None:
    import shutil

    asked = spec(**WILD, early_stopping=2)
    first = run_training(asked, tmp_path / "run", events)
    before = (tmp_path / "run" / ADAPTER).read_bytes()
    shutil.rmtree(tmp_path / "run" / "lora_adapter")
    again = type(events)()
    second = run_training(asked, tmp_path / "run", again)
    assert not again.of("step")
    assert second.details["steps"] == first.details["steps"]
    assert (tmp_path / "run" / ADAPTER).read_bytes() == before


def test_a_best_checkpoint_that_was_removed_is_told(spec: Any, tmp_path: Path, events: Any) -> None:
    import shutil

    asked = spec(**WILD, keep_best=True)
    best = run_training(asked, tmp_path / "run", events).details["steps"]
    shutil.rmtree(tmp_path / "run" / f"checkpoint-{best}")
    again = type(events)()
    outcome = run_training(asked, tmp_path / "run", again)
    assert outcome.details["steps"] == 12
    assert "TRAIN-085" in {event["code"] for event in again.of("finding")}


@pytest.mark.parametrize("train_type", ["lora", "full"])
def test_samples_change_no_weight_and_no_loss(
    spec: Any, tmp_path: Path, events: Any, train_type: str
) -> None:
    asked = {"max_steps": 4, "eval_steps": 1, "lora_dropout": 0.1, "train_type": train_type}
    asked |= {"val_dataset": "sample", "learning_rate": 1e-3}
    run_training(spec(**asked), tmp_path / "without", events)
    with_samples = type(events)()
    run_training(spec(**asked, eval_samples=2), tmp_path / "with", with_samples)
    file = ADAPTER if train_type == "lora" else "model/model.safetensors"
    assert _equal(tmp_path / "without" / file, tmp_path / "with" / file)
    for kind in ("step", "eval"):
        assert [event["loss"] for event in with_samples.of(kind)] == [
            event["loss"] for event in events.of(kind)
        ]
    told = with_samples.of("sample")
    assert [event["step"] for event in told] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert len({event["row_id"] for event in told}) == 2


def test_a_sample_is_what_the_model_answers_to_a_validation_question(
    spec: Any, tiny: Path, tmp_path: Path, events: Any
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from mozhu.engine.inference.generate import generate_many
    from mozhu.engine.weights.template import Renderer

    rows = [
        {
            "messages": [
                {"role": "user", "content": f"问题{n}？"},
                {"role": "assistant", "content": f"答{n}。"},
            ]
        }
        for n in range(3)
    ]
    path = tmp_path / "val.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    run_training(spec(val_dataset=str(path), eval_samples=8), tmp_path / "run", events)
    told = [event for event in events.of("sample") if event["step"] == 6]
    assert [(event["question"], event["expected"]) for event in told] == [
        (f"问题{n}？", f"答{n}。") for n in range(3)
    ], "as many as there are"
    tuned = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tiny), str(tmp_path / "run" / "lora_adapter")
    )
    renderer = Renderer.from_folder(tiny)
    prompts = [renderer.prompt_ids(row["messages"][:1]) for row in rows]
    made = generate_many(tuned, renderer.tokenizer, prompts, max_new_tokens=64, stop_ids=renderer.stop_ids)
    assert [event["answer"] for event in told] == [answer.text.strip() for answer in made]


def test_plain_text_and_systems_give_samples_too(spec: Any, tmp_path: Path, events: Any) -> None:
    path = tmp_path / "rows.json"
    rows = [{"text": f"第{n}行文本，讲的是春夏秋冬的天气和出门要带的东西，一共有很多字。"} for n in range(8)]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    run_training(spec(dataset=str(path), stage="pt", eval_samples=1, max_steps=1), tmp_path / "text", events)
    (first, *_) = events.of("sample")
    assert first["question"] and first["expected"]
    assert any(row["text"].startswith(first["question"]) for row in rows)
    chat = type(events)()
    run_training(spec(system="你是助手。", eval_samples=1, max_steps=1), tmp_path / "chat", chat)
    assert "你是助手" not in chat.of("sample")[0]["question"]


def test_a_prefix_is_part_of_what_is_asked(spec: Any, tmp_path: Path, events: Any) -> None:
    asked = {"train_type": "prefix", "eval_samples": 1, "max_steps": 3, "learning_rate": 0.5}
    run_training(spec(**asked), tmp_path / "run", events)
    first, last = (events.of("sample")[place] for place in (0, -1))
    assert (first["step"], last["step"]) == (0, 3)
    assert first["answer"] != last["answer"]


def test_where_nothing_can_be_asked_that_is_told(spec: Any, tmp_path: Path, events: Any) -> None:
    rows = tmp_path / "rows.json"
    told = [{"text": f"第{n}件东西", "label": "好" if n % 2 else "坏"} for n in range(8)]
    rows.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    asked = {"dataset": str(rows), "stage": "classification", "eval_samples": 2, "max_steps": 1}
    run_training(spec(**asked), tmp_path / "run", events)
    assert "TRAIN-084" in {event["code"] for event in events.of("finding")}
    assert not events.of("sample")


def test_a_failing_sample_costs_a_finding_and_nothing_else(
    spec: Any, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mozhu.engine.training.engines import samples

    def fails(*args: Any, **more: Any) -> Any:
        raise RuntimeError("no room")

    monkeypatch.setattr(samples, "generate_many", fails)
    run_training(spec(eval_samples=1, eval_steps=1, max_steps=2), tmp_path / "run", events)
    assert [event["code"] for event in events.of("finding")].count("TRAIN-083") == 1
    assert [event["step"] for event in events.of("step")] == [1, 2]


def test_the_last_answer_of_a_row() -> None:
    assert last_answer([-100, -100, 5, 6, -100, 7, 8, -100]) == (5, 7)
    assert last_answer([5, 6]) == (0, 2)
    assert last_answer([-100]) == (0, 0)


def test_stopping_early_without_validation_is_refused() -> None:
    for changes in ({"early_stopping": 2}, {"keep_best": True}):
        with pytest.raises(ValidationError, match="needs_validation"):
            TrainSpec(model="m", dataset="d", validation_split=0.0, **changes)
        assert TrainSpec(model="m", dataset="d", validation_split=0.0, val_dataset="v", **changes)
