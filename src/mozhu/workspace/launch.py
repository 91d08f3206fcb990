"""Start a run in a process of its own and follow its events; the engine never runs in the caller's process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import Any

from mozhu.kernel.errors import DiskFull, MozhuError, RunCancelled, RunDied
from mozhu.kernel.files import free_bytes, human_size, writing
from mozhu.kernel.progress import EventTail
from mozhu.kernel.texts import language, text
from mozhu.specs.records.result import Result
from mozhu.workspace.memory import are_of_no_memory, no_memory_left
from mozhu.workspace.runs import EVENTS, RESULT, RunFolder, failed
from mozhu.workspace.warm import WarmProcess

OUTPUT = "process.log"
_POLL_S = 0.1
_GRACE_S = 600.0  # a step of a large model on a CPU takes minutes, and then it saves
_AT_ONCE_S = 15.0
_LEAST_ROOM_BYTES = 64 << 10  # a run that could not write its result stopped for want of room


class RunProcess:
    """``mozhu run FOLDER`` as a child. What its libraries print goes to ``process.log`` of the run folder.

    Args:
        workspace: The workspace that it runs in; without it the one in force here.
        warm: A process that has loaded its libraries and becomes this run, where it is still there.
    """

    def __init__(
        self, run: RunFolder, *, workspace: Path | None = None, warm: WarmProcess | None = None
    ) -> None:
        self.run = run
        self._workspace = workspace
        self._before = run.result()
        self._tail = EventTail(run.path / EVENTS)
        self._tail.skip_to_end()
        self._has_begun = self._was_stopped = False
        with writing(run.path / OUTPUT), open(run.path / OUTPUT, "ab") as output:
            self._output_starts = output.tell()
        taken = warm.take(run.path.absolute(), (run.path / OUTPUT).absolute()) if warm else None
        self._is_warm = taken is not None
        self._process = taken or self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        with writing(self.run.path / OUTPUT), open(self.run.path / OUTPUT, "ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "mozhu", "run", str(self.run.path), "--quiet", "--lang", language()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches us first, and we pass it on once
                env={**os.environ, "PYTHONUNBUFFERED": "1", **_workspace_variable(self._workspace)},
            )

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self) -> Iterator[dict[str, Any]]:
        """The events as they come, until the process has ended and its last event was given."""
        while True:
            ended = self._process.poll() is not None
            for event in self._tail.read():
                self._has_begun = True
                yield event
            if ended and not self._starts_anew():
                return
            time.sleep(_POLL_S)

    def _starts_anew(self) -> bool:
        """A warm process that ended before the run began could not say why: one of its own can."""
        if not self._is_warm or self._has_begun or self._was_stopped or self._process.returncode == 0:
            return False
        self._is_warm = False
        self._process = self._started()
        return True

    def ask_to_stop(self) -> None:
        """Ask the run to save and stop; asked a second time it stops at once."""
        self._was_stopped = True
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        self._was_stopped = True
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def result(self) -> Result:
        """How it ended.

        Raises:
            RunDied: RUN-005, the process ended without leaving a result. DiskFull: FILE-003, it had no room for one.
        """
        code = self._process.wait()
        result = self.run.result()
        if result is None or (code and not self._has_begun and result == self._before):
            free = free_bytes(self.run.path)
            if code == DiskFull.exit_code and free < _LEAST_ROOM_BYTES:
                raise DiskFull(path=str(self.run.path), free=human_size(free))
            last = self.last_output()
            if code and are_of_no_memory(self.last_output(20)):
                return self._without_memory()
            raise RunDied(path=str(self.run.path), status=code, log=str(self.run.path / OUTPUT), tail=last)
        return result

    def last_output(self, lines: int = 3) -> str:
        """The last lines of what this process printed; ``process.log`` may begin with what earlier ones did."""
        content = (self.run.path / OUTPUT).read_bytes()[self._output_starts :]
        return "\n".join(content.decode("utf-8", errors="replace").splitlines()[-lines:])

    def _without_memory(self) -> Result:
        """The result that the process had no memory left to write; it is written in its place."""
        with self.run.locked():
            log = self.run.open_log()
            result = failed(no_memory_left(), log)
            log.close()
            result.write(self.run.path / RESULT)
        return result


def _workspace_variable(workspace: Path | None) -> dict[str, str]:
    return {} if workspace is None else {"MOZHU_WORKSPACE": str(workspace)}


class RunFailed(MozhuError):
    """A run's own error, raised again in the process that started it, with the run's words."""

    def __init__(self, details: dict[str, Any]) -> None:
        self._details = details  # read by `code`, which the base class asks for
        super().__init__(**details.get("params", {}))

    @property
    def code(self) -> str:  # type: ignore[override]
        return str(self._details.get("code", "BUG-001"))

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return int(self._details.get("exit_code", 70))

    def _text(self, part: str) -> str:
        return str(self._details.get({"what": "message"}.get(part, part), ""))


def run_to_end(
    run: RunFolder, on_event: Callable[[dict[str, Any]], None], warm: WarmProcess | None = None
) -> Result:
    """Run ``run`` in a process of its own and hand over its events; Ctrl-C and SIGTERM stop it gently, to resume."""
    before = run.result()
    with _held_back() as asked:
        process = RunProcess(run, warm=warm)
    try:
        with _terminated_as_interrupted():
            if asked:
                raise KeyboardInterrupt
            for event in process.events():
                on_event(event)
    except KeyboardInterrupt:
        _stop(process, on_event)
        result = run.result()
        if result is None or result == before:  # stopped before it began, or killed because it did not stop
            return Result(state="cancelled", error=RunCancelled(path=str(run.path)).to_json())
    return process.result()


def _stop(process: RunProcess, on_event: Callable[[dict[str, Any]], None]) -> None:
    """The run has ended: after its step, which may be long; at once when Ctrl-C comes again; killed at the third."""
    on_event({"kind": "log", "message": text("progress.stopping")})
    for grace_s in (_GRACE_S, _AT_ONCE_S):
        limit = Timer(grace_s, process.kill)
        limit.daemon = True
        limit.start()
        try:
            process.ask_to_stop()
            for event in process.events():
                on_event(event)
            return
        except KeyboardInterrupt:
            continue
        finally:
            limit.cancel()
    process.kill()


@contextmanager
def _held_back() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM wait while a process is started, so that it is never lost sight of; tells which came."""
    came: list[int] = []
    old: dict[int, Any] = {}
    try:
        for kind in (signal.SIGINT, signal.SIGTERM):
            old[kind] = signal.signal(kind, lambda number, frame: came.append(number))
    except ValueError:  # not the main thread
        pass
    try:
        yield came
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Whoever ends this process ends the run with it, as gently as Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        old = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def raise_failure(result: Result) -> None:
    """Raise the run's own error when it did not succeed."""
    if result.state != "succeeded" and result.error is not None:
        raise RunFailed(result.error)


def stop_run(folder: Path, *, kill: bool = False) -> bool:
    """Ask the process that holds ``folder`` to stop, or end it at once with ``kill``; false when none does."""
    run = RunFolder.open(folder)
    if not run.is_locked():
        return False
    pids = [
        event["pid"] for event in run.events() if event["kind"] in {"start", "resumed"} and "pid" in event
    ]
    if not pids:
        return False
    os.kill(pids[-1], signal.SIGKILL if kill else signal.SIGINT)
    return True
