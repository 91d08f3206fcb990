"""One suite over every executor: what a caller may rely on, also after a restart of the service."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mozhu.platform.jobs.executor import Executor
from mozhu.platform.jobs.executors.process import ProcessExecutor
from mozhu.specs.inspect import InspectSpec
from mozhu.testing.inline_runs import InlineExecutor
from mozhu.workspace.runs import RunFolder, make_run

MAKERS: dict[str, Callable[[Path], Executor]] = {
    "process": ProcessExecutor,
    "inline": lambda root: InlineExecutor(),
}


@pytest.fixture(params=MAKERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def new_run(root: Path, path: Path) -> RunFolder:
    (root / "0_configs").mkdir(parents=True, exist_ok=True)
    return make_run(InspectSpec(path=str(path)), {}, root / "6_output" / path.stem)


def ended(executor: Executor, run: RunFolder, seconds: float = 60.0) -> str:
    until = time.monotonic() + seconds
    while (state := executor.state(run)) == "running" and time.monotonic() < until:
        time.sleep(0.05)
    return state


def test_a_run_is_started_once_told_and_known_by_whoever_comes_later(name: str, tmp_path: Path) -> None:
    executor = MAKERS[name](tmp_path)
    assert isinstance(executor, Executor)
    given = tmp_path / "given.json"
    given.write_text("{}")
    run = new_run(tmp_path, given)
    assert executor.state(run) == "unfinished" and executor.tail(run) == [] and executor.stop(run) is False
    executor.start(run)
    executor.start(run)  # is under way, or done
    assert ended(executor, run) == "succeeded"
    result = run.result()
    assert result is not None and result.details["verdict"] == "refused"  # no model
    told = [event["kind"] for event in executor.tail(run)]
    assert told.count("start") == 1 and told[-1] == "done" and "resumed" not in told
    assert executor.tail(run, after=len(told) - 1)[0]["kind"] == "done"
    another = MAKERS[name](tmp_path)
    assert another.state(run) == "succeeded"
    another.start(run)
    assert len(another.tail(run)) == len(told)


def test_a_run_that_cannot_do_its_work_has_failed_with_its_error(name: str, tmp_path: Path) -> None:
    executor = MAKERS[name](tmp_path)
    run = new_run(tmp_path, tmp_path / "absent")
    executor.start(run)
    assert ended(executor, run) == "failed"
    result = run.result()
    assert result is not None and result.error is not None and result.error["code"] == "FILE-001"


def test_of_two_that_may_start_a_run_only_one_does(tmp_path: Path) -> None:
    """Workers of a service, or one that was started anew: a process is known before it has begun to work."""
    given = tmp_path / "given.json"
    given.write_text("{}")
    run = new_run(tmp_path, given)
    first, second = ProcessExecutor(tmp_path), ProcessExecutor(tmp_path)
    first.start(run)
    assert not run.is_locked() and second.state(run) == "running"
    second.start(run)
    assert second._mine == {}
    second.stop(run)
    assert ended(second, run) in ("cancelled", "unfinished") and first.state(run) == second.state(run)
    second.start(run)
    assert ended(first, run) == "succeeded"


HOLDER = """
import json, os, signal, sys, time
from pathlib import Path
from mozhu.workspace.runs import RunFolder
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
run = RunFolder(Path(sys.argv[1]))
with run.locked():
    log = run.open_log()
    log.emit("start", verb="inspect", run=run.path.name, pid=os.getpid())
    print("held", flush=True)
    time.sleep(60)
"""


def held(run: RunFolder, manner: str) -> subprocess.Popen[str]:
    """A process that somebody else has started and that works on ``run``."""
    words = [sys.executable, "-c", HOLDER, str(run.path), manner]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("manner", ["obeys", "deaf"])
def test_a_run_that_another_started_is_taken_up_and_stopped(
    tmp_path: Path, manner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run(tmp_path, tmp_path / "long")
    process = held(run, manner)
    executor = ProcessExecutor(tmp_path)
    assert executor.state(run) == "running"
    executor.start(run)  # nothing happens: it is under way
    assert executor.stop(run) is True
    if manner == "deaf":
        time.sleep(0.2)
        assert process.poll() is None
        monkeypatch.setattr("mozhu.platform.jobs.executors.process._PATIENCE_S", 0.0)
        assert executor.stop(run) is True
    process.wait(10)
    assert executor.state(run) == "unfinished"
    assert executor.stop(run) is False


def test_a_killed_process_leaves_a_run_that_can_be_started_again(tmp_path: Path) -> None:
    given = tmp_path / "given.json"
    given.write_text(json.dumps({"a": 1}))
    run = new_run(tmp_path, given)
    process = held(run, "obeys")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    executor = ProcessExecutor(tmp_path)
    assert executor.state(run) == "unfinished"
    executor.start(run)
    assert ended(executor, run) == "succeeded"
    assert [event["kind"] for event in executor.tail(run)][:2] == ["start", "resumed"]
