"""What a run will take and what stands against it is said before it starts, without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.training import quantisation
from mozhu.engine.training.defaults import learning_rate, max_length, target_modules
from mozhu.engine.training.forecast import forecast
from mozhu.engine.training.preflight import preflight
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.files import write_jsonl
from mozhu.kernel.machine import Machine, describe
from mozhu.testing.tiny_models import make_tiny_model

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def _machine(**changes: Any) -> Machine:
    return Machine(**{**vars(describe()), **changes})


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3", "mistral", "gemma2"])
def test_target_modules_are_found_without_being_told(spec: Any, tmp_path: Path, family: str) -> None:
    model = ModelFolder.open(make_tiny_model(tmp_path / family, family))
    assert target_modules(spec(), model) == SEVEN
    assert target_modules(spec(target_modules="q_proj, v_proj"), model) == ["q_proj", "v_proj"]


def test_the_learning_rate_follows_the_width(spec: Any, tiny: Path) -> None:
    model = ModelFolder.open(tiny)
    rate = learning_rate(spec(learning_rate=None), model)
    assert rate == pytest.approx(5e-4 * (2000 / 64) ** 0.775, rel=0.05)
    assert learning_rate(spec(learning_rate=None, train_type="full"), model) == pytest.approx(
        rate / 10, rel=0.05
    )
    assert learning_rate(spec(learning_rate=1e-5), model) == 1e-5


def test_the_length_never_passes_the_models_own(spec: Any, tiny: Path) -> None:
    model = ModelFolder.open(tiny)
    limit = model.max_length or 0
    assert max_length(spec(max_length=10 * limit), model) == limit
    assert max_length(spec(max_length=None), model) == min(limit, 2048)


def test_the_forecast_counts_what_the_run_then_does(spec: Any, tmp_path: Path, events: Any) -> None:
    from mozhu.engine.training.run import run_training

    asked = spec(max_steps=None, num_train_epochs=2, batch_size=4)
    told = forecast(asked, describe())
    outcome = run_training(asked, tmp_path / "run", events)
    assert told.steps == outcome.details["steps"] == 6
    assert told.rows == 9 and told.validation_rows == 1


@pytest.mark.parametrize("steps", [2, 7])
def test_the_forecast_knows_that_an_epoch_ends_with_a_smaller_batch(
    steps: int, spec: Any, tmp_path: Path, events: Any
) -> None:
    """Ten rows of one length in batches of four: 4, 4 and 2 rows, and again."""
    from mozhu.engine.training.run import run_training

    write_jsonl(tmp_path / "rows.jsonl", [{"text": f"第{number}行，山高水长。"} for number in range(10)])
    rows = {"dataset": str(tmp_path / "rows.jsonl"), "stage": "pt", "validation_split": 0.0}
    asked = spec(**rows, max_steps=steps, batch_size=2, gradient_accumulation_steps=2)
    run_training(asked, tmp_path / "run", events)
    told = forecast(asked, describe())  # the tokens are kept now: lengths are no guess
    assert (
        told.tokens
        == events.of("step")[-1]["tokens"]
        == told.tokens_per_epoch * (8 if steps == 2 else 24) // 10
    )


def test_the_forecast_gets_better_after_one_run(spec: Any, tmp_path: Path, events: Any) -> None:
    from mozhu.engine.training.run import run_training

    assert not forecast(spec(), describe()).learnt
    run_training(spec(), tmp_path / "run", events)
    assert forecast(spec(), describe()).learnt


def test_trainable_parameters_are_those_of_peft(spec: Any, tiny: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny),
        LoraConfig(r=4, target_modules=SEVEN, task_type="CAUSAL_LM"),
    )
    counted = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    assert forecast(spec(), describe()).trainable_parameters == counted


def test_more_rows_a_step_and_longer_rows_need_more_memory(spec: Any) -> None:
    small = forecast(spec(batch_size=1), describe()).peak_memory_bytes
    large = forecast(spec(batch_size=8), describe()).peak_memory_bytes
    full = forecast(spec(batch_size=8, train_type="full"), describe()).peak_memory_bytes
    assert small < large < full


def test_preflight_names_everything_in_one_pass(spec: Any, tmp_path: Path) -> None:
    asked = spec(model=str(tmp_path / "nowhere"), dataset="no_such_rows", engine="abacus", device="cuda")
    found = preflight(asked, _machine(gpus=()), Path("/proc/nowhere/run"))
    errors = {finding.code for finding in found if finding.level == "error"}
    assert {"FILE-001", "DATA-001", "TRAIN-022", "FILE-002"} <= errors
    assert [finding.level for finding in found] == sorted(
        (finding.level for finding in found), key=["error", "warning", "info"].index
    )


def test_preflight_finds_nothing_against_a_sound_run(spec: Any, tmp_path: Path) -> None:
    assert [
        finding for finding in preflight(spec(), describe(), tmp_path / "run") if finding.level == "error"
    ] == []


def test_unknown_target_modules_are_named(spec: Any, tmp_path: Path) -> None:
    found = preflight(spec(target_modules="q_proj, w_proj"), describe(), tmp_path / "run")
    assert [finding.params["modules"] for finding in found if finding.code == "TRAIN-026"] == ["w_proj"]


def test_quantisation_without_a_gpu_says_what_is_done_instead(
    spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU the quantised base is trained there; without bitsandbytes an unquantised one."""

    def told(there: str | None) -> list[tuple[str, str]]:
        monkeypatch.setattr(quantisation, "library_version", lambda name: there)
        found = preflight(spec(quantization="4bit"), _machine(gpus=()), tmp_path / "run")
        return [(f.code, f.level) for f in found if f.code in {"TRAIN-021", "TRAIN-038"}]

    assert told("0.50.2") == [("TRAIN-038", "info")]
    assert told(None) == [("TRAIN-021", "warning")]


def test_plans_need_no_torch(tiny: Path) -> None:
    code = (
        "import sys; from mozhu.cli.main import main;"
        f"main(['train', '--preset', 'lora', '--model', {str(tiny)!r}, '--dry_run']);"
        "assert not {'torch', 'transformers', 'peft'} & set(sys.modules), 'a model library was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
