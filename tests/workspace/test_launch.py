"""A training in a process of its own: it is followed, stopped, killed, and goes on where it was."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mozhu.display.progress import is_step
from mozhu.kernel.errors import RunDied
from mozhu.specs.records.manifest import Manifest, manifest_problems
from mozhu.specs.train import TrainSpec
from mozhu.workspace.launch import RunFailed, RunProcess, raise_failure, run_to_end, stop_run
from mozhu.workspace.runs import RunFolder, make_run

STEPS, SAVED_EVERY = 40, 8
_PATIENCE_S = 120


def curve(run: RunFolder) -> dict[int, float]:
    """The last loss told of each step: a step after the last checkpoint is made again by a resumed run."""
    return {event["step"]: event["loss"] for event in run.events() if event["kind"] == "step"}


def check_whole(run: RunFolder, whole: RunFolder) -> None:
    """A run that was stopped and went on is as good as one that never was."""
    assert run.state() == "succeeded"
    events = run.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["kind"] == "done"
    assert sorted(curve(run)) == list(range(1, STEPS + 1))
    assert curve(run) == pytest.approx(curve(whole), abs=1e-4)
    adapter = run.path / "lora_adapter"
    assert manifest_problems(adapter, Manifest.read(adapter / "manifest.json")) == []
    assert (run.path / "checkpoint-final").resolve() == adapter.resolve()


def start(words: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mozhu", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
        start_new_session=True,
    )


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.02)


def last_step(run: RunFolder) -> int:
    return max(curve(run), default=0)


def test_the_events_of_a_run_are_handed_over_in_order(whole: RunFolder) -> None:
    events = whole.events()
    assert events[0]["kind"] == "start" and events[0]["verb"] == "train"
    assert [event["step"] for event in events if event["kind"] == "checkpoint"] == list(range(8, 41, 8))
    steps = [event for event in events if event["kind"] == "step"]
    for event in steps:
        assert event["total"] == STEPS and event["tokens_per_s"] > 0 and event["memory_bytes"] > 0
        assert 1 <= len(event["rows"]) <= 2
    assert [event["eta_s"] for event in steps][-1] == 0
    assert steps[-1]["loss_smooth"] < steps[0]["loss"]
    kept = sorted(path.name for path in whole.path.glob("checkpoint-*"))
    assert kept == ["checkpoint-24", "checkpoint-32", "checkpoint-40", "checkpoint-final"]


def test_epochs_are_counted(whole: RunFolder) -> None:
    """16 rows, a quarter for validation, 2 a step: 6 steps are an epoch."""
    epochs = {event["step"]: event["epoch"] for event in whole.events() if event["kind"] == "step"}
    assert epochs[6] == pytest.approx(1.0) and epochs[STEPS] == pytest.approx(STEPS / 6, abs=0.01)


def test_a_finished_run_is_not_trained_again(whole: RunFolder, training: TrainSpec) -> None:
    before = (whole.path / "events.jsonl").read_bytes()
    run = make_run(training, {}, whole.path)
    assert run_to_end(run, lambda event: pytest.fail("an event came")).state == "succeeded"
    assert (whole.path / "events.jsonl").read_bytes() == before


def test_a_run_that_is_killed_says_so_and_goes_on_with_its_curve(
    whole: RunFolder, training: TrainSpec, tmp_path: Path
) -> None:
    run = make_run(training, {}, tmp_path / "killed")
    process = RunProcess(run)
    wait_for(lambda: last_step(run) > SAVED_EVERY)
    process.kill()
    with pytest.raises(RunDied) as caught:
        process.result()
    assert caught.value.params["status"] == -signal.SIGKILL
    assert f"mozhu run {run.path}" in caught.value.next and caught.value.exit_code == 4
    assert run.state() == "unfinished" and not run.is_locked()
    told = last_step(run)
    # what a power cut leaves besides: half an event, half a checkpoint, half of a file
    with open(run.path / "events.jsonl", "ab") as file:
        file.write(b'{"schema": 1, "seq": 99, "ki')
    (run.path / "checkpoint-39").mkdir()
    (run.path / "checkpoint-39/adapter_model.safetensors").write_bytes(b"\0" * 100)
    (run.path / ".result.json.zz.tmp").write_bytes(b"{")
    seen: list[dict[str, Any]] = []
    result = run_to_end(make_run(training, {}, run.path), seen.append)
    assert result.state == "succeeded"
    assert seen[0]["kind"] == "resumed" and {event["kind"] for event in seen} >= {"step", "done"}
    made = [event for event in seen if is_step(event)]
    assert made[0]["step"] % SAVED_EVERY == 1 and made[0]["step"] > 1
    assert [event["step"] for event in made if event["kind"] == "again"] == list(
        range(made[0]["step"], told + 1)
    )
    steps = [event["step"] for event in run.events() if event["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1)), "each step is told once"
    check_whole(run, whole)


def test_ctrl_c_leaves_a_run_that_can_be_resumed_and_says_how(
    whole: RunFolder, training: TrainSpec, tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    config = tmp_path / "mine.json"
    config.write_text(training.model_dump_json(exclude_none=True), encoding="utf-8")
    words = ["train", "--config", str(config), "--output_dir", str(folder)]
    process = start(words)
    wait_for(lambda: last_step(RunFolder(folder)) >= 3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 130, err
    assert "RUN-004" in err and "mozhu run" in err and "Traceback" not in err
    run = RunFolder.open(folder)
    result = run.result()
    assert run.state() == "cancelled" and result is not None and result.error is not None
    stopped_at = last_step(run)
    assert stopped_at < STEPS and (folder / f"checkpoint-{stopped_at}").is_dir()
    command = re.search(r"mozhu (run \S+?)`", err)
    assert command, err
    again = start(command[1].split())
    out, err = again.communicate(timeout=_PATIENCE_S)
    assert again.returncode == 0, err
    kinds = [event["kind"] for event in run.events()]
    assert kinds.count("cancelled") == kinds.count("resumed") == 1
    resumed = kinds.index("resumed")
    first = next(event["step"] for event in run.events()[resumed:] if event["kind"] == "step")
    assert first == stopped_at + 1
    check_whole(run, whole)


def test_ctrl_c_at_once_is_a_stop_and_not_a_fault(training: TrainSpec, tmp_path: Path) -> None:
    """Before the child has even imported its libraries."""
    folder = tmp_path / "early"
    config = tmp_path / "mine.json"
    config.write_text(training.model_dump_json(exclude_none=True), encoding="utf-8")
    process = start(["train", "--config", str(config), "--output_dir", str(folder)])
    wait_for(lambda: (folder / "process.log").exists())
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 130, err
    assert "RUN-004" in err and "RUN-005" not in err and "Traceback" not in err
    assert RunFolder.open(folder).state() in {"cancelled", "unfinished"}


def test_runs_stop_ends_a_run_gently(training: TrainSpec, tmp_path: Path) -> None:
    run = make_run(training.model_copy(update={"max_steps": 5000}), {}, tmp_path / "long")
    assert stop_run(run.path) is False
    process = RunProcess(run)
    wait_for(lambda: last_step(run) >= 2)
    assert run.state() == "running"
    assert stop_run(run.path) is True
    assert process.result().state == "cancelled"
    assert (run.path / f"checkpoint-{last_step(run)}").is_dir()


def test_an_error_of_the_run_is_raised_again_in_its_own_words(training: TrainSpec, tmp_path: Path) -> None:
    spec = training.model_copy(update={"dataset": str(tmp_path / "gone.jsonl")})
    run = make_run(spec, {}, tmp_path / "failing")
    result = run_to_end(run, lambda event: None)
    with pytest.raises(RunFailed) as caught:
        raise_failure(result)
    assert (caught.value.code, caught.value.exit_code) == ("FILE-001", 3)
    assert "gone.jsonl" in caught.value.what and caught.value.next
    assert json.loads(json.dumps(caught.value.to_json()))["code"] == "FILE-001"


@pytest.mark.parametrize(
    ("last_words", "has_result"),
    [
        ("terminate called after throwing an instance of 'std::bad_alloc'\\n  what():  std::bad_alloc", True),
        ("  File <frozen importlib>, line 1, in _load\\nMemoryError", True),
        ("ValueError: something else", False),
    ],
)
def test_a_process_with_no_memory_left_to_say_so_ends_as_out_of_memory(
    last_words: str, has_result: bool, training: TrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier process said in the same log does not count."""
    run = make_run(training, {}, tmp_path / "run")
    (run.path / "process.log").write_text("MemoryError\n")
    dying = tmp_path / "python"
    dying.write_text(f"#!/bin/sh\nprintf '%b' \"{last_words}\" >&2\nexit 1\n")
    dying.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(dying))
    process = RunProcess(run)
    if not has_result:
        with pytest.raises(RunDied):
            process.result()
        assert run.state() == "unfinished"
        return
    result = process.result()
    assert result.error is not None and result.error["code"] == "ENV-002"
    assert run.state() == "failed" and run.result() == result
    assert run.events()[-1]["code"] == "ENV-002"


def test_a_run_folder_that_was_moved_goes_on(whole: RunFolder, training: TrainSpec, tmp_path: Path) -> None:
    """A finished run that was copied elsewhere is still finished there."""
    copy = Path(shutil.copytree(whole.path, tmp_path / "copy", symlinks=True))
    assert RunFolder.open(copy).state() == "succeeded"
    assert make_run(training, {}, copy).result() == whole.result()
