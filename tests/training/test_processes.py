"""Several processes learn what one process learns from the same rows, and none is ever left behind."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from safetensors.torch import load_file

from mozhu.cli.main import main
from mozhu.engine.training.data import training_data
from mozhu.engine.training.processes import plan
from mozhu.engine.training.processes.batches import RankBatches
from mozhu.engine.training.processes.hand_over import HandOver
from mozhu.engine.training.processes.spawn import MODULE, RankProcesses, free_port
from mozhu.engine.training.run import run_training
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import LossNotFinite, MozhuError, RunDied
from mozhu.kernel.machine import Gpu, describe
from mozhu.specs.train import TrainSpec
from mozhu.workspace.launch import RunProcess
from mozhu.workspace.runs import RunFolder, make_run


# ---------------------------------------------------------------- which rows
class _Order:
    def __init__(self, rows: int) -> None:
        self.rows, self.epoch = rows, 0

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.rows, generator=torch.Generator().manual_seed(self.epoch)).tolist())

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch


def _steps(rows: int, size: int, steps: int, ranks: int) -> list[list[list[int]]]:
    """For each optimisation step the rows of every process."""
    parts = [
        list(RankBatches(_Order(rows), rows, size=size, steps=steps, rank=rank, ranks=ranks))
        for rank in range(ranks)
    ]
    assert len({len(part) for part in parts}) == 1, "every process takes as many batches"
    count = len(parts[0])
    return [[sum(part[start : start + steps], []) for part in parts] for start in range(0, count, steps)]


@given(some.integers(1, 70), some.integers(1, 5), some.integers(1, 4), some.integers(1, 5))
def test_a_step_has_the_same_rows_however_many_processes_share_them(
    rows: int, size: int, steps: int, ranks: int
) -> None:
    order = list(_Order(rows))
    a_step = size * steps * ranks
    found = _steps(rows, size, steps, ranks)
    assert len(found) == -(-rows // a_step)
    for number, shares in enumerate(found):
        learned = sorted(row for share in shares for row in share if row >= 0)
        assert learned == sorted(order[number * a_step : (number + 1) * a_step]), "each row once"


def test_the_length_told_is_the_number_of_batches_given() -> None:
    for rows in range(1, 40):
        batches = RankBatches(_Order(rows), rows, size=3, steps=2, rank=1, ranks=2)
        assert len(batches) == len(list(batches))


# ---------------------------------------------------------------- what is asked for
@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"strategy": "deepspeed"}, "deepspeed_needs_its_file"),
        ({"deepspeed_config": "zero.json"}, "deepspeed_needs_its_file"),
        ({"nodes": 2}, "nodes_need_an_address"),
        ({"node_rank": 1}, "node_rank_from_zero"),
        ({"tensor_parallel": 2}, "tensor_parallel_alone"),
        ({"tensor_parallel": 2, "processes": 2, "strategy": "fsdp2"}, "tensor_parallel_alone"),
    ],
)
def test_fields_that_do_not_fit_together_are_refused(spec: Any, wrong: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        spec(**wrong)


def _machine(cores: int = 4, gpus: int = 0) -> Any:
    cards = tuple(Gpu(number, "H", 80 << 30, 79 << 30, "1", 0.0) for number in range(gpus))
    return replace(describe(), cores=cores, gpus=cards)


def _codes(spec: TrainSpec, machine: Any) -> list[str]:
    model = ModelFolder.open(find_model(spec.model).base)
    return [finding.code for finding in plan.process_findings(spec, model, machine)]


def test_more_processes_than_devices_is_an_error(spec: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert _codes(spec(processes=5), _machine(cores=4)) == ["TRAIN-070"]
    assert _codes(spec(processes=4), _machine(cores=4)) == []
    assert _codes(spec(processes=3), _machine(cores=64, gpus=2)) == ["TRAIN-070"]
    assert _codes(spec(processes=2), _machine(cores=1, gpus=2)) == []
    assert _codes(spec(), _machine(gpus=2)) == ["TRAIN-077"], "an idle GPU is told"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert _codes(spec(processes=2), _machine(gpus=2)) == ["TRAIN-070"]


@pytest.mark.parametrize(
    "changes", [{"lora_init": "pissa"}, {"train_type": "prefix"}, {"train_type": "full", "stage": "dpo"}]
)
def test_what_shared_weights_cannot_do_is_said_before(spec: Any, changes: dict[str, Any]) -> None:
    assert _codes(spec(processes=2, strategy="fsdp2", **changes), _machine()) == ["TRAIN-073"]
    assert _codes(spec(processes=2, **changes), _machine()) == []


def test_tensor_parallelism_says_what_it_cannot_do(spec: Any) -> None:
    asked = {"processes": 2, "tensor_parallel": 2}
    assert _codes(spec(**asked, train_type="full"), _machine()) == []
    assert _codes(spec(**asked), _machine()) == ["TRAIN-076"]
    assert _codes(spec(**asked, stage="orpo"), _machine()) == ["TRAIN-076", "TRAIN-076"]


def test_a_deepspeed_file_is_checked(spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "zero.json"
    asked = spec(strategy="deepspeed", deepspeed_config=str(path), processes=2, batch_size=4)
    assert _codes(asked, _machine()) == ["TRAIN-075", "TRAIN-074"], "not installed, and no file"
    monkeypatch.setattr(plan, "library_version", lambda name: "0.18")
    good = {
        "zero_optimization": {"stage": 3},
        "train_micro_batch_size_per_gpu": "auto",
        "train_batch_size": 8,
    }
    path.write_text(json.dumps(good), encoding="utf-8")
    assert _codes(asked, _machine()) == []
    for wrong in ({"train_batch_size": 4}, {"zero_optimization": {"stage": 4}}, [], "{"):
        path.write_text(wrong if isinstance(wrong, str) else json.dumps(wrong), encoding="utf-8")
        assert _codes(asked, _machine()) == ["TRAIN-074"], wrong


def test_the_lines_of_several_machines_say_the_same_training(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--model", str(tiny), "--dataset", "sample", "--target_modules", "q_proj", "v_proj"]
    words += ["--nodes", "2", "--processes", "2", "--master_address", "10.0.0.1", "--no_packing", "--json"]
    assert main([*words, "--dry_run", "--output_dir", str(tmp_path / "my run")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [node["node_rank"] for node in told["nodes"]] == [0, 1]
    for node in told["nodes"]:
        typed = shlex.split(node["command"])
        assert typed[:2] == ["mozhu", "train"]
        assert main([*typed[1:], "--dry_run", "--json"]) == 0
        again = json.loads(capsys.readouterr().out)
        assert {**again["spec"], "node_rank": 0} == told["spec"]
        assert again["nodes"] == told["nodes"]
        folder = tmp_path / ("my run" if node["node_rank"] == 0 else "my run-node1")
        assert again["run"] == str(folder) and shlex.split(node["torchrun"])[-1] == str(folder)


# ---------------------------------------------------------------- what is learned
STEPS = {"max_steps": 3, "learning_rate": 5e-4, "dataset": "sample", "report_to": ()}
STAGES: dict[str, dict[str, Any]] = {"sft": {}, "dpo": {"stage": "dpo"}, "padded": {"packing": False}}


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {
            "messages": [{"role": "user", "content": f"{number} 加 {number} 是多少？"}],
            "chosen": f"是 {2 * number}。",
            "rejected": "我不知道。",
        }
        for number in range(11)
    ]
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), encoding="utf-8")
    return path


def _adapter(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "lora_adapter" / "adapter_model.safetensors")


def _assert_near(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> None:
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_learn_what_one_learns(
    spec: Any, tmp_path: Path, events: Any, pairs: Path, stage: str
) -> None:
    """DDP and FSDP2 against one process on the same rows: losses, norms, figures and weights within 1e-5."""
    fields = {**STEPS, **STAGES[stage], **({"dataset": str(pairs)} if stage == "dpo" else {})}
    run_training(spec(**fields, batch_size=4), tmp_path / "one", events)
    wanted = events.of("step")
    for strategy in ("ddp", "fsdp2"):
        told = type(events)()
        asked = spec(**fields, batch_size=2, processes=2, strategy=strategy)
        outcome = run_training(asked, tmp_path / strategy, told)
        assert outcome.details["processes"] == 2
        _assert_near(_adapter(tmp_path / "one"), _adapter(tmp_path / strategy))
        assert len(told.of("step")) == len(wanted)
        for here, there in zip(told.of("step"), wanted, strict=True):
            for name in ("loss", "grad_norm", *(["margin", "accuracy"] if stage == "dpo" else [])):
                assert here[name] == pytest.approx(there[name], abs=1e-5), name
            assert sorted(here["rows"]) == sorted(there["rows"])
            assert here["tokens"] == there["tokens"]
        for here, there in zip(told.of("eval"), events.of("eval"), strict=True):
            assert here["loss"] == pytest.approx(there["loss"], abs=1e-5)
        assert not (tmp_path / strategy / "processes").exists()


@pytest.mark.slow
def test_two_processes_train_every_weight(spec: Any, tmp_path: Path, events: Any) -> None:
    """Embeddings tied to the output layer, whose weight the loss reads by itself."""
    fields = {**STEPS, "train_type": "full", "max_steps": 2}
    run_training(spec(**fields, batch_size=4), tmp_path / "one", events)
    wanted = load_file(tmp_path / "one" / "model" / "model.safetensors")
    for strategy in ("ddp", "fsdp2"):
        asked = spec(**fields, batch_size=1, gradient_accumulation_steps=2, processes=2, strategy=strategy)
        run_training(asked, tmp_path / strategy, type(events)())
        found = load_file(tmp_path / strategy / "model" / "model.safetensors")
        _assert_near(wanted, found)


@pytest.mark.slow
def test_two_processes_hold_the_pieces_of_one_model(spec: Any, tmp_path: Path, events: Any) -> None:
    """Tensor parallelism by Transformers' plan: both read the same rows, and count them once."""
    fields = {**STEPS, "train_type": "full", "packing": False, "batch_size": 4, "save_steps": 2}
    run_training(spec(**fields), tmp_path / "one", events)
    told = type(events)()
    run_training(spec(**fields, processes=2, tensor_parallel=2), tmp_path / "two", told)
    for here, there in zip(told.of("step"), events.of("step"), strict=True):
        assert here["loss"] == pytest.approx(there["loss"], abs=1e-5)
        assert sorted(here["rows"]) == sorted(there["rows"]) and here["tokens"] == there["tokens"]
    found = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("one", "two"))
    _assert_near(*found)


@pytest.mark.slow
@pytest.mark.parametrize("zero", [1, 2, 3])
def test_deepspeed_learns_what_one_process_learns(spec: Any, tmp_path: Path, events: Any, zero: int) -> None:
    """ZeRO with DeepSpeed's own configuration, where it is installed."""
    pytest.importorskip("deepspeed")
    run_training(spec(**STEPS, batch_size=4), tmp_path / "one", events)
    config = tmp_path / "zero.json"
    settings = {"zero_optimization": {"stage": zero}, "train_micro_batch_size_per_gpu": "auto"}
    config.write_text(
        json.dumps({**settings, "gradient_clipping": "auto", "zero_allow_untested_optimizer": True})
    )
    asked = spec(**STEPS, batch_size=2, processes=2, strategy="deepspeed", deepspeed_config=str(config))
    told = type(events)()
    run_training(asked, tmp_path / "two", told)
    for here, there in zip(told.of("step"), events.of("step"), strict=True):
        assert here["loss"] == pytest.approx(there["loss"], abs=1e-4)
        assert sorted(here["rows"]) == sorted(there["rows"])
    _assert_near(_adapter(tmp_path / "one"), _adapter(tmp_path / "two"))


# ---------------------------------------------------------------- stop, kill, resume
def _started(spec: TrainSpec, folder: Path) -> RunProcess:
    return RunProcess(make_run(spec, {}, folder))


def _wait(is_there: Callable[[], Any], seconds: float = 120.0) -> Any:
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if found := is_there():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come")


def _steps_of(folder: Path) -> list[dict[str, Any]]:
    return [event for event in RunFolder(folder).events() if event["kind"] == "step"]


def _ranks(folder: Path) -> list[psutil.Process]:
    """The training processes of ``folder`` that are alive."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if MODULE in words and str(folder) in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def _end(process: RunProcess) -> Any:
    for _ in process.events():
        pass
    return process.result()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_a_stopped_run_resumes_with_as_many_processes_or_others(
    spec: Any, tmp_path: Path, events: Any, strategy: str
) -> None:
    # So many steps that a stop after the second one comes before the last one on a fast machine, too.
    last = 120
    fields = {**STEPS, "max_steps": last, "save_steps": 2 * last}
    run_training(spec(**fields, batch_size=4), tmp_path / "whole", events)
    folder = tmp_path / "run"
    process = _started(spec(**fields, batch_size=2, processes=2, strategy=strategy), folder)
    _wait(lambda: len(_steps_of(folder)) >= 2)
    os.kill(process.pid, signal.SIGINT)
    assert _end(process).state == "cancelled"
    assert not _ranks(folder)
    cut = _steps_of(folder)[-1]["step"]
    assert 2 <= cut < last
    assert [path.name for path in folder.glob("checkpoint-*")] == [f"checkpoint-{cut}"]
    # One process reads as many rows a step; FSDP2 is the same run only as FSDP2.
    other = {"batch_size": 4, "processes": 1} if strategy == "ddp" else {"batch_size": 2, "processes": 2}
    resumed = _started(spec(**fields, **other, strategy=strategy), folder)
    assert _end(resumed).state == "succeeded", RunFolder(folder).result()
    steps = _steps_of(folder)
    assert [event["step"] for event in steps] == list(range(1, last + 1))
    for here, there in zip(steps, events.of("step"), strict=True):
        assert here["loss"] == pytest.approx(there["loss"], abs=1e-4)
        assert sorted(here["rows"]) == sorted(there["rows"]) and here["tokens"] == there["tokens"]
    for name, value in _adapter(folder).items():
        torch.testing.assert_close(value, _adapter(tmp_path / "whole")[name], rtol=0, atol=2e-4)


@pytest.mark.slow
def test_a_killed_process_ends_the_others_and_is_named(spec: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = _started(
        spec(**{**STEPS, "max_steps": 4000, "save_steps": 2}, batch_size=2, processes=2), folder
    )
    _wait(lambda: len(_steps_of(folder)) >= 3)
    ranks = _ranks(folder)
    assert len(ranks) == 2
    victim = next(each for each in ranks if each.environ()["RANK"] == "1")
    victim.kill()
    result = _end(process)
    assert result.state == "failed" and result.error["code"] == "TRAIN-071"
    assert result.error["params"]["rank"] == 1 and result.error["params"]["status"] == -signal.SIGKILL
    assert len(result.error["message"].splitlines()) < 15, "no wall of text"
    assert not _ranks(folder)
    wholes = [path for path in folder.glob("checkpoint-*") if (path / ".complete").is_file()]
    assert wholes and all((path / "rng_state_1.pth").is_file() for path in wholes)


@pytest.mark.slow
def test_no_process_outlives_its_run(spec: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = _started(spec(**{**STEPS, "max_steps": 4000}, batch_size=2, processes=2), folder)
    _wait(lambda: len(_steps_of(folder)) >= 1)
    assert len(_ranks(folder)) == 2
    os.kill(process.pid, signal.SIGKILL)
    _wait(lambda: not _ranks(folder), 30)
    with pytest.raises(RunDied):
        _end(process)


@pytest.mark.slow
def test_the_error_of_a_process_is_the_error_of_the_run(spec: Any, tmp_path: Path, events: Any) -> None:
    wild = {**STEPS, "learning_rate": 1e30, "max_grad_norm": 1e30, "max_steps": 30}
    with pytest.raises(MozhuError) as caught:
        run_training(spec(**wild, batch_size=2, processes=2), tmp_path / "run", events)
    assert caught.value.code == LossNotFinite.code
    assert caught.value.params["step"] == events.of("step")[-1]["step"] and caught.value.params["rows"]
    assert not _ranks(tmp_path / "run")


@pytest.mark.slow
def test_torchrun_starts_the_same_processes(spec: Any, tmp_path: Path, events: Any) -> None:
    """A cluster's own launcher sets the environment that ours sets."""
    asked = spec(**STEPS, batch_size=2, processes=2)
    run_training(asked, tmp_path / "ours", events)
    folder = tmp_path / "torchrun"
    found = find_model(asked.model)
    data = training_data(asked, found, ModelFolder.open(found.base), folder, type(events)())
    assert data.place is not None
    link = HandOver(folder)
    link.give(asked, found.base, data.place)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "--nnodes", "1"]
    launcher += ["--master_port", str(free_port()), "-m", MODULE, str(folder)]
    done = subprocess.run(launcher, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-2000:]
    assert link.outcome() is not None
    _assert_near(_adapter(tmp_path / "ours"), _adapter(folder))


def test_a_failure_by_signal_comes_before_what_follows_from_it(tmp_path: Path) -> None:
    ended = [SimpleNamespace(poll=lambda code=code: code) for code in (1, -9, 1)]
    ranks = RankProcesses.__new__(RankProcesses)
    ranks._processes = ended  # type: ignore[assignment]
    assert ranks.first_failure() == (1, -9)
