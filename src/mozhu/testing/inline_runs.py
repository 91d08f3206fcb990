"""An executor that carries out a run where it is started: for tests that need no process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mozhu.workspace.execute import execute
from mozhu.workspace.runs import RunFolder, RunState


class InlineExecutor:
    """``start`` returns when the run has ended. ``work`` carries out the folder; by default as ``mozhu run`` does."""

    def __init__(self, work: Callable[[Path], Any] = execute) -> None:
        self._work = work
        self.started: list[str] = []

    def start(self, run: RunFolder) -> None:
        if run.state() not in ("running", "succeeded"):
            self.started.append(run.path.name)
            self._work(run.path)

    def state(self, run: RunFolder) -> RunState:
        return run.state()

    def stop(self, run: RunFolder) -> bool:
        return False

    def tail(self, run: RunFolder, after: int = 0) -> list[dict[str, Any]]:
        return run.events()[after:]
