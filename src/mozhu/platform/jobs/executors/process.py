"""Runs as processes of this machine, each in a session of its own: they outlive the service that started them."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from mozhu.kernel.errors import MozhuError
from mozhu.workspace.launch import RunProcess, stop_run
from mozhu.workspace.runs import RunFolder, RunState

# Who does not stop when asked is killed when asked again after so long.
_PATIENCE_S = 10.0


class ProcessExecutor:
    """Starts ``mozhu run FOLDER`` in the workspace ``root``.

    A run that another process of the service has started, or this one before it was started anew, is known by the lock
    of its folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root).absolute()
        self._mine: dict[Path, RunProcess] = {}
        self._asked: dict[Path, float] = {}
        self._turn = Lock()

    def start(self, run: RunFolder) -> None:
        with self._turn:
            if self._state(run) not in ("running", "succeeded"):
                self._asked.pop(run.path, None)
                self._mine[run.path] = RunProcess(run, workspace=self._root)

    def state(self, run: RunFolder) -> RunState:
        with self._turn:
            return self._state(run)

    def stop(self, run: RunFolder) -> bool:
        with self._turn:
            if self._state(run) != "running":
                return False
            asked = self._asked.setdefault(run.path, time.monotonic())
            kill = time.monotonic() - asked > _PATIENCE_S
            mine = self._mine.get(run.path)
            if mine is None:
                with suppress(ProcessLookupError, MozhuError):  # it ended this moment
                    return stop_run(run.path, kill=kill)
            elif kill:
                mine.kill()
            else:
                mine.ask_to_stop()
            return True

    def tail(self, run: RunFolder, after: int = 0) -> list[dict[str, Any]]:
        return run.events()[after:]

    def _state(self, run: RunFolder) -> RunState:
        mine = self._mine.get(run.path)
        if mine is not None:
            # From its start until it holds the lock only we know that it is there.
            if mine.is_running:
                return "running"
            del self._mine[run.path]
        return run.state()
