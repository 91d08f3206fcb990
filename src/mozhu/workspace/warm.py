"""A process that loads an engine's libraries while a request is still being checked, and then carries out its run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from mozhu.kernel.texts import language

_PROGRAM = "mozhu.cli.warm"


class WarmProcess:
    """``with WarmProcess(engine) as warm``: in the block a run may take the process; one that nobody took is ended.

    It waits at a pipe of ours, so it also goes when this process is killed. What it prints before it has a run
    counts for nothing: a library that cannot be loaded is told by the run itself, which is then started anew.
    """

    def __init__(self, engine: str) -> None:
        with tempfile.TemporaryFile() as nowhere:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _PROGRAM, engine],
                stdin=subprocess.PIPE,
                stdout=nowhere,
                stderr=nowhere,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self._is_taken = False

    def take(self, folder: Path, output: Path) -> subprocess.Popen[bytes] | None:
        """The process, which runs ``folder`` from now on and prints to ``output``; ``None`` where it is gone."""
        told = {"folder": str(folder), "output": str(output), "language": language()}
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(told).encode("utf-8") + b"\n")
            self._process.stdin.close()
        except OSError:
            return None
        if self._process.poll() is not None:
            return None
        self._is_taken = True
        return self._process

    def __enter__(self) -> WarmProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._is_taken:
            return
        with suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
