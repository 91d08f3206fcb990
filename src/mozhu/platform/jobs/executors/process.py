"""Runs as processes of this machine, each in a session of its own: they outlive the service that started them."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

import psutil

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json, write_json
from mozhu.workspace.launch import RunProcess, stop_run
from mozhu.workspace.runs import RunFolder, RunState

# Beside the request: which process carries it out. It is known by it before it holds the lock of the folder.
PROCESS = "process.json"
# Who does not stop when asked is killed when asked again after so long.
_PATIENCE_S = 10.0


class ProcessExecutor:
    """Starts ``mozhu run FOLDER`` in the workspace ``root``.

    A run that another process of the service has started, or this one before it was started anew, is known by what lies
    in its folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root).absolute()
        self._mine: dict[Path, RunProcess] = {}
        self._asked: dict[Path, float] = {}
        self._turn = Lock()

    def start(self, run: RunFolder) -> None:
        with self._turn:
            if self._state(run) in ("running", "succeeded"):
                return
            self._asked.pop(run.path, None)
            process = self._mine[run.path] = RunProcess(run, workspace=self._root)
            with suppress(psutil.NoSuchProcess):
                began = psutil.Process(process.pid).create_time()
                write_json(run.path / PROCESS, {"pid": process.pid, "began": began})

    def state(self, run: RunFolder) -> RunState:
        with self._turn:
            return self._state(run)

    def stop(self, run: RunFolder) -> bool:
        with self._turn:
            if self._state(run) != "running":
                return False
            first = self._asked.setdefault(run.path, time.monotonic())
            kill = time.monotonic() - first > _PATIENCE_S
            pid = _pid(run)
            with suppress(ProcessLookupError, MozhuError):  # it ended this moment
                if pid is None:  # somebody runs the folder by hand
                    return stop_run(run.path, kill=kill)
                os.killpg(pid, signal.SIGKILL) if kill else os.kill(pid, signal.SIGINT)
            return True

    def tail(self, run: RunFolder, after: int = 0) -> list[dict[str, Any]]:
        return run.events()[after:]

    def _state(self, run: RunFolder) -> RunState:
        mine = self._mine.get(run.path)
        if mine is not None and not mine.is_running:  # asking has taken its status from the system
            del self._mine[run.path]
        return "running" if _pid(run) is not None else run.state()


def _pid(run: RunFolder) -> int | None:
    """The process that was started for ``run``, while it is there."""
    try:
        told = read_json(run.path / PROCESS)
        process = psutil.Process(told["pid"])
        same = process.create_time() == told["began"] and process.status() != psutil.STATUS_ZOMBIE
    except (MozhuError, KeyError, TypeError, psutil.Error):
        return None
    return process.pid if same else None
