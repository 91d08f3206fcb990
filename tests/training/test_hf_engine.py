"""The hf engine trains what it says: its losses are those of a plain loop, its stops and resumes lose nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.split import Shares, split_rows
from mozhu.engine.data.tokens import Example, tokenize_rows
from mozhu.engine.training.checkpoints import last_checkpoint, remove_incomplete
from mozhu.engine.training.engines import hf
from mozhu.engine.training.run import run_training
from mozhu.engine.training.stop import StopFlag
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import (
    AdapterAsBase,
    LossNotFinite,
    NoChatTemplate,
    TooManyLostRows,
    UnsupportedTraining,
)


def _loss(model: Any, examples: list[Example]) -> float:
    """Mean negative log-likelihood a label token, one row at a time."""
    total, count = 0.0, 0
    for example in examples:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([example.ids])).logits[0, :-1].float()
        labels = torch.tensor(example.labels[1:])
        kept = labels != -100
        total += torch.nn.functional.cross_entropy(logits[kept], labels[kept], reduction="sum").item()
        count += int(kept.sum())
    return total / count


@pytest.fixture(scope="session")
def parts(tiny: Path) -> dict[str, list[Example]]:
    split = split_rows(load_rows("sample").rows, Shares(0.9, 0.1, 0.0), seed=42)
    renderer = Renderer.from_folder(tiny)
    found = {"train": split.train, "validation": split.validation}
    return {name: tokenize_rows(rows, renderer, max_length=256).examples for name, rows in found.items()}


def test_losses_are_those_of_a_plain_loop(
    spec: Any, tiny: Path, tmp_path: Path, events: Any, parts: dict[str, list[Example]]
) -> None:
    run_training(spec(batch_size=16, max_steps=1, lr_scheduler="constant"), tmp_path / "run", events)
    base = AutoModelForCausalLM.from_pretrained(tiny)
    # A fresh adapter changes nothing, so the first step's loss and the first validation are the base's own.
    assert events.of("step")[0]["loss"] == pytest.approx(_loss(base, parts["train"]), rel=1e-5)
    assert events.of("eval")[0]["loss"] == pytest.approx(_loss(base, parts["validation"]), rel=1e-5)


def test_the_last_validation_is_that_of_the_saved_adapter(
    spec: Any, tiny: Path, tmp_path: Path, events: Any, parts: dict[str, list[Example]]
) -> None:
    from peft import PeftModel

    run_training(spec(), tmp_path / "run", events)
    base = AutoModelForCausalLM.from_pretrained(tiny)
    tuned = PeftModel.from_pretrained(base, str(tmp_path / "run" / "lora_adapter"))
    assert events.of("eval")[-1]["loss"] == pytest.approx(_loss(tuned, parts["validation"]), rel=1e-4)


def test_accumulated_steps_give_the_gradient_of_the_whole_batch(
    spec: Any, tmp_path: Path, events: Any
) -> None:
    whole = {"max_steps": 3, "batch_size": 8, "validation_split": 0.0, "dataset": "sample"}
    run_training(spec(**whole), tmp_path / "whole", events)
    pieces = {**whole, "batch_size": 2, "gradient_accumulation_steps": 4}
    run_training(spec(**pieces), tmp_path / "pieces", events)
    one = load_file(tmp_path / "whole" / "lora_adapter" / "adapter_model.safetensors")
    two = load_file(tmp_path / "pieces" / "lora_adapter" / "adapter_model.safetensors")
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-5)


def test_a_wide_network_trains_with_less_memory_as_any_other(
    spec: Any, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch goes in parts, gates and norms are operators of ours, attention is made again going back."""
    flat = "mozhu.engine.training.engines.flat"
    monkeypatch.setattr(f"{flat}.thrift._TOKENS_AT_ONCE", 1)
    asked = spec(max_steps=3, batch_size=4)
    told = []
    for name, wide in (("whole", 1 << 30), ("parts", 1)):
        monkeypatch.setattr(f"{flat}.thrift.WIDE", wide)
        monkeypatch.setattr(f"{flat}.short_rows.WIDE", wide)
        run_training(asked, tmp_path / name, events)
        told.append(events.of("step")[-3:])
    whole, parts = told
    assert [step["tokens"] for step in parts] == [step["tokens"] for step in whole]
    assert [sorted(step["rows"]) for step in parts] == [sorted(step["rows"]) for step in whole]
    assert [step["loss"] for step in parts] == pytest.approx([step["loss"] for step in whole], rel=1e-5)
    one, two = (
        load_file(tmp_path / name / "lora_adapter" / "adapter_model.safetensors")
        for name in ("whole", "parts")
    )
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-5)


def test_the_same_spec_gives_the_same_adapter(spec: Any, tmp_path: Path, events: Any) -> None:
    for name in ("one", "two"):
        run_training(spec(), tmp_path / name, events)
    one, two = (
        (tmp_path / name / "lora_adapter" / "adapter_model.safetensors").read_bytes()
        for name in ("one", "two")
    )
    assert one == two


def test_a_stopped_run_resumes_to_the_same_adapter(
    spec: Any, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spec(max_steps=6, save_steps=2)
    run_training(asked, tmp_path / "whole", events)

    class StopsAtThree(StopFlag):
        """As if Ctrl-C came during the third step."""

        asked_at = 3

        @property  # type: ignore[override]
        def is_set(self) -> bool:
            return len(stopped.of("step")) >= self.asked_at - 1

        @is_set.setter
        def is_set(self, value: bool) -> None:
            pass

    stopped = type(events)()
    with monkeypatch.context() as patch:
        patch.setattr(hf, "StopFlag", StopsAtThree)
        with pytest.raises(KeyboardInterrupt):
            run_training(asked, tmp_path / "cut", stopped)
    first = [event["step"] for event in stopped.of("step")]
    assert first and first[-1] < 6
    resumed = type(events)()
    run_training(asked, tmp_path / "cut", resumed)
    assert first + [event["step"] for event in resumed.of("step")] == [1, 2, 3, 4, 5, 6]
    whole = load_file(tmp_path / "whole" / "lora_adapter" / "adapter_model.safetensors")
    again = load_file(tmp_path / "cut" / "lora_adapter" / "adapter_model.safetensors")
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_run_resumed_at_its_end_keeps_its_curve(spec: Any, tmp_path: Path) -> None:
    """Stopped after the last checkpoint and before the artefact: nothing is left to train, nothing is forgotten."""
    import shutil

    from mozhu.workspace.execute import execute
    from mozhu.workspace.runs import make_run

    folder = tmp_path / "run"
    first = execute(make_run(spec(save_steps=2), {}, folder).path)
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "lora_adapter")
    again = execute(folder)
    assert again.state == "succeeded"
    assert again.metrics["train_loss"].value == pytest.approx(first.metrics["train_loss"].value)
    assert again.details["tokens"] == first.details["tokens"]


def test_a_checkpoint_cut_off_while_written_never_counts(spec: Any, tmp_path: Path, events: Any) -> None:
    run_training(spec(save_steps=2), tmp_path / "run", events)
    whole = last_checkpoint(tmp_path / "run")
    assert whole is not None
    torn = tmp_path / "run" / "checkpoint-999"
    torn.mkdir()
    (torn / "trainer_state.json").write_text('{"global_', encoding="utf-8")
    assert last_checkpoint(tmp_path / "run") == whole
    assert remove_incomplete(tmp_path / "run") == ["checkpoint-999"]
    assert not torn.exists() and whole.exists()


def test_every_step_names_its_rows_and_counts_its_tokens(
    spec: Any, tmp_path: Path, events: Any, parts: dict[str, list[Example]]
) -> None:
    run_training(spec(batch_size=3, max_steps=3), tmp_path / "run", events)
    sizes = {example.row_id: len(example.ids) for example in parts["train"]}
    seen = [row for event in events.of("step") for row in event["rows"]]
    assert sorted(seen) == sorted(sizes), "one epoch shows every row once"
    assert events.of("step")[-1]["tokens"] == sum(sizes.values())
    assert [event["epoch"] for event in events.of("step")] == sorted(
        event["epoch"] for event in events.of("step")
    )


def test_full_fine_tuning_leaves_a_whole_model(spec: Any, tmp_path: Path, events: Any) -> None:
    outcome = run_training(spec(train_type="full", learning_rate=None), tmp_path / "run", events)
    assert outcome.artefacts[0].kind == "model"
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "run" / "model", local_files_only=True)
    assert events.of("step")[-1]["loss"] < events.of("step")[0]["loss"]
    assert sum(parameter.numel() for parameter in model.parameters()) > 0


def test_an_adapter_remembers_its_base_and_carries_its_sidecars(
    spec: Any, tmp_path: Path, events: Any
) -> None:
    run_training(spec(), tmp_path / "run", events)
    place = tmp_path / "run" / "lora_adapter"
    base = json.loads((place / "base.json").read_text(encoding="utf-8"))
    assert base["fingerprint"]["weights"].startswith("sha256:")
    certificate = json.loads((place / "certificate.json").read_text(encoding="utf-8"))
    assert certificate["kind"] == "adapter" and certificate["passed"]
    info = json.loads((place / "model_info.json").read_text(encoding="utf-8"))
    assert info["model_type"] == "lora" and info["training_steps"] == 6
    config = json.loads((place / "training_config.json").read_text(encoding="utf-8"))
    assert config["learning_rate"] == 5e-3 and len(config["target_modules"]) == 7
    assert (tmp_path / "run" / "checkpoint-final").resolve() == place.resolve()


def test_text_rows_train_a_model_without_a_template(
    spec: Any, tiny: Path, tmp_path: Path, events: Any
) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(tiny, bare)
    (bare / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((bare / "tokenizer_config.json").read_text(encoding="utf-8"))
    config.pop("chat_template", None)
    (bare / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    rows = tmp_path / "rows.json"
    rows.write_text(
        json.dumps([{"text": f"第{n}行文本。"} for n in range(8)], ensure_ascii=False), encoding="utf-8"
    )
    run_training(spec(model=str(bare), dataset=str(rows)), tmp_path / "run", events)
    assert len(events.of("step")) == 6
    with pytest.raises(NoChatTemplate):
        run_training(spec(model=str(bare)), tmp_path / "chat", events)


def test_a_loss_that_is_not_finite_stops_the_run_at_that_step(spec: Any, tmp_path: Path, events: Any) -> None:
    with pytest.raises(LossNotFinite) as caught:
        run_training(spec(learning_rate=1e30, max_grad_norm=1e30, max_steps=30), tmp_path / "run", events)
    assert caught.value.params["step"] == events.of("step")[-1]["step"] < 30
    assert caught.value.params["rows"]


def test_an_adapter_is_no_base_and_a_text_model_no_vision_model(
    spec: Any, tmp_path: Path, events: Any
) -> None:
    run_training(spec(max_steps=1), tmp_path / "run", events)
    with pytest.raises(AdapterAsBase):
        run_training(spec(model=str(tmp_path / "run")), tmp_path / "again", events)
    with pytest.raises(UnsupportedTraining):
        run_training(spec(train_type="multimodal"), tmp_path / "vision", events)


def test_rows_longer_than_the_limit_are_reported_not_lost_in_silence(
    spec: Any, tmp_path: Path, events: Any
) -> None:
    with pytest.raises(TooManyLostRows):  # three of the ten have no answer left within 110 tokens
        run_training(spec(max_length=110, max_steps=1), tmp_path / "run", events)
    run_training(spec(max_length=110, max_steps=1, max_rejected_share=0.3), tmp_path / "run", events)
    codes = {event["code"] for event in events.of("finding")}
    assert "DATA-120" in codes
