"""Runs that are killed: real processes, forked from one that has loaded its libraries, ended by a real SIGKILL.

A moment is a change of the run folder that Python announces (``sys.addaudithook``): a file opened for writing, a
name moved or removed, a folder made. A kill is planned at the n-th moment, a few milliseconds after it (inside the
write that it began), or after so many seconds.

As a program this file is the warm process: it reads a request a line and answers each with a line.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

_CHANGES = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.symlink",
    "os.truncate",
    "os.link",
    "shutil.rmtree",
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
_TIME_LIMIT_S = 240


@dataclass(frozen=True)
class Kill:
    """SIGKILL at ``moment`` (the first is 1) and ``later_s`` after it; with ``signals`` those instead, in turn."""

    moment: int = 0
    later_s: float = 0.0
    after_s: float = 0.0
    signals: tuple[int, ...] = (int(signal.SIGKILL),)


@dataclass(frozen=True)
class Ended:
    """``code`` is the exit code, or minus the signal; ``moments`` are told by a run that was not killed."""

    code: int
    moments: list[str] = field(default_factory=list)

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL


class Warm:
    """A process that forks one process for each command."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, words: Sequence[str], folder: Path, kill: Kill | None = None) -> Ended:
        """``mozhu WORDS``, which changes ``folder``, to its end or to its kill; it prints to ``FOLDER.log``."""
        assert self._process.stdin is not None and self._process.stdout is not None
        request = {"words": list(words), "folder": str(folder), "kill": asdict(kill) if kill else None}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the warm process has ended"
        return Ended(**json.loads(answer))

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)


@contextmanager
def warm_process(workspace: Path) -> Iterator[Warm]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ}
    home = {"HOME": str(workspace), "HF_HOME": str(workspace / "hub"), "MOZHU_WORKSPACE": str(workspace)}
    workspace.mkdir(parents=True, exist_ok=True)
    fixed = {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "MOZHU_LANG": "en",
        "OMP_NUM_THREADS": "1",
    }
    warm = Warm({**kept, **home, **fixed})
    try:
        yield warm
    finally:
        warm.close()


class _Moments:
    """Counts the changes of ``folder`` and does what is planned at one of them."""

    def __init__(self, folder: str, kill: Kill | None) -> None:
        self.seen: list[str] = []
        self._folder, self._kill = folder, kill

    def __call__(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open":
            path, mode, flags = arguments
            if not isinstance(path, str) or not (flags or 0) & _WRITING:
                return
        elif name not in _CHANGES:
            return
        path = str(arguments[0])
        if self._folder not in path and "/" in path:
            return
        self.seen.append(f"{name} {path.replace(self._folder, '')}")
        if self._kill and self._kill.moment == len(self.seen):
            if self._kill.later_s:
                threading.Thread(target=self._send, daemon=True).start()
            else:
                self._send()

    def _send(self) -> None:
        assert self._kill is not None
        time.sleep(self._kill.later_s)
        for number in self._kill.signals:
            os.kill(os.getpid(), number)
            time.sleep(0.001)


def _child(request: dict[str, Any], answer: int) -> int:
    from mozhu.cli.main import main

    kill = Kill(**request["kill"]) if request["kill"] else None
    moments = _Moments(request["folder"], kill)
    output = os.open(request["folder"] + ".log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.addaudithook(moments)
    code = main(request["words"])
    sys.stdout.flush()
    sys.stderr.flush()
    os.write(answer, json.dumps(moments.seen).encode())
    return code


def _forked(request: dict[str, Any]) -> Ended:
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        code = 70
        try:
            code = _child(request, writing)
        finally:
            os._exit(code)
    os.close(writing)
    after = (request["kill"] or {}).get("after_s") or _TIME_LIMIT_S
    timer = threading.Timer(after, os.kill, (process, signal.SIGKILL))
    timer.start()
    with os.fdopen(reading, "rb") as file:
        told = file.read()
    _, status = os.waitpid(process, 0)
    timer.cancel()
    return Ended(os.waitstatus_to_exitcode(status), json.loads(told) if told else [])


def _serve() -> None:
    import torch  # noqa: F401

    import mozhu.cli.run
    import mozhu.cli.train
    import mozhu.engine.training.engines.hf
    import mozhu.engine.training.run
    import mozhu.engine.training.token_build  # noqa: F401

    for line in sys.stdin:
        print(json.dumps(asdict(_forked(json.loads(line)))), flush=True)


if __name__ == "__main__":
    _serve()
