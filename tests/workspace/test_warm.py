"""A process that loads its libraries while a request is checked becomes the run, or goes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mozhu.specs.train import TrainSpec
from mozhu.workspace.launch import OUTPUT, run_to_end
from mozhu.workspace.runs import make_run
from mozhu.workspace.warm import WarmProcess


def _wait_until_gone(pid: int, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_warm_process_becomes_the_run_and_prints_where_runs_print(
    training: TrainSpec, tmp_path: Path, own_workspace: Path
) -> None:
    (own_workspace / "2_core").mkdir()
    (own_workspace / "2_core" / "loud.py").write_text("print('an extension speaks')\n")
    spec = training.model_copy(update={"max_steps": 2, "save_steps": None})
    run = make_run(spec, {}, tmp_path / "run")
    with WarmProcess("hf") as warm:
        pid = warm._process.pid
        assert run_to_end(run, lambda event: None, warm).state == "succeeded"
    assert [event["pid"] for event in run.events() if event["kind"] == "start"] == [pid]
    assert (run.path / OUTPUT).is_file()
    assert (run.path / "lora_adapter" / "certificate.json").is_file()


def test_one_that_nobody_took_is_gone_after_the_block() -> None:
    with pytest.raises(ValueError), WarmProcess("hf") as warm:
        pid = warm._process.pid
        raise ValueError
    assert not psutil.pid_exists(pid)


def test_one_that_is_gone_is_no_obstacle(training: TrainSpec, tmp_path: Path) -> None:
    spec = training.model_copy(update={"max_steps": 1, "save_steps": None})
    run = make_run(spec, {}, tmp_path / "run")
    with WarmProcess("hf") as warm:
        warm._process.kill()
        warm._process.wait()
        assert run_to_end(run, lambda event: None, warm).state == "succeeded"


def test_a_run_that_it_could_not_begin_is_begun_anew(training: TrainSpec, tmp_path: Path) -> None:
    class Dying(WarmProcess):
        def take(self, folder: Path, output: Path) -> subprocess.Popen[bytes] | None:
            taken = super().take(folder, output)
            self._process.kill()
            return taken

    spec = training.model_copy(update={"max_steps": 1, "save_steps": None})
    run = make_run(spec, {}, tmp_path / "run")
    with Dying("hf") as warm:
        assert run_to_end(run, lambda event: None, warm).state == "succeeded"


def test_it_goes_when_the_command_is_killed() -> None:
    code = (
        "import time\nfrom mozhu.workspace.warm import WarmProcess\n"
        "warm = WarmProcess('none')\nprint(warm._process.pid, flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        pid = int(command.stdout.readline())
        assert psutil.pid_exists(pid)
        command.kill()
    _wait_until_gone(pid)
