"""The two services under measurement, each a process of its own, asked over one kept connection."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.facts import ROOT
from benchmarks.harness import Sample
from benchmarks.peers.mlflow_registry import address_of
from mozhu.platform.accounts.local_token import local_token

_STARTS_S = 180.0


@dataclass(frozen=True)
class Ask:
    """One request; ``body`` is sent as JSON."""

    method: str
    path: str
    body: Any = None


@dataclass
class Server:
    """A service that runs. ``others``: processes that work for it, as those of its database."""

    port: int
    process: subprocess.Popen[Any]
    headers: dict[str, str]
    others: Sequence[int] = ()
    _kept: list[http.client.HTTPConnection] = field(default_factory=list)

    def ask(self, asked: Ask) -> Any:
        """The JSON of the answer.

        Raises:
            RuntimeError: It is no success; with what was said.
        """
        if not self._kept:
            self._connect()
        content = None if asked.body is None else json.dumps(asked.body)
        headers = {**self.headers, **({"Content-Type": "application/json"} if content else {})}
        self._kept[0].request(asked.method, asked.path, content, headers)
        answer = self._kept[0].getresponse()
        said = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{asked.method} {asked.path}: {answer.status} {said[:500]!r}")
        return json.loads(said)

    def _connect(self) -> None:
        for old in self._kept:
            old.close()
        self._kept[:] = [http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)]
        self._kept[0].connect()

    def cpu_s(self) -> float:
        """CPU seconds of the service, its children and its database so far."""
        return sum(_tree_cpu_s(pid) for pid in (self.process.pid, *self.others))

    def sample(self, asks: Sequence[Sequence[Ask]]) -> Sample:
        """The median time and the mean CPU time of one item of ``asks``, which are a few requests each."""
        self._connect()  # the one of the round before may have been closed as idle
        times, before = [], self.cpu_s()
        for together in asks:
            started = time.perf_counter()
            for asked in together:
                self.ask(asked)
            times.append(time.perf_counter() - started)
        return Sample(median(times), (self.cpu_s() - before) / len(asks))


def _tree_cpu_s(pid: int) -> float:
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        ended = root.cpu_times()
        total += ended.children_user + ended.children_system
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                spent = process.cpu_times()
                total += spent.user + spent.system
    return total


@contextmanager
def ours(workspace: Path, database: str | None, others: Sequence[int], *flags: str) -> Iterator[Server]:
    """``mozhu up`` on a port of its own; ``database``: where it is not in the workspace."""
    environment = {**os.environ, "MOZHU_WORKSPACE": str(workspace), "MOZHU_LANG": "en"}
    if database is not None:
        environment["MOZHU_UP__DATABASE"] = database
    port_given = () if "--port" in flags else ("--port", "0")
    words = [sys.executable, "-m", "mozhu", "up", *port_given, *flags]
    log = workspace / "service.log"
    with _process(words, environment, log, ROOT) as process:
        port = int(_until(process, log, lambda: _port_in(log)))
        headers = {"Authorization": f"Bearer {local_token(workspace / '5_models').token}"}
        server = Server(port, process, headers, others)
        _until(process, log, lambda: _answers(server, "/readyz"))
        yield server


@contextmanager
def mlflow(python: Path, where: Path | str, folder: Path, others: Sequence[int]) -> Iterator[Server]:
    """``mlflow server`` with one worker over the database ``where``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [str(python), "-m", "mlflow", "server", "--backend-store-uri", address_of(where)]
    words += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words += ["--default-artifact-root", str(folder / "artifacts")]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    log = folder / "mlflow.log"
    with _process(words, environment, log, folder) as process:
        server = Server(port, process, {}, others)
        _until(
            process, log, lambda: _answers(server, "/api/2.0/mlflow/registered-models/search?max_results=1")
        )
        yield server


@contextmanager
def _process(
    words: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path
) -> Iterator[subprocess.Popen[Any]]:
    with open(log, "wb") as file:
        process = subprocess.Popen(words, env=dict(environment), stdout=file, stderr=file, cwd=folder)
    try:
        yield process
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        for one in (*children, process):
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()


def _until(process: subprocess.Popen[Any], log: Path, found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + _STARTS_S
    while time.monotonic() < deadline and process.poll() is None:
        if value := found():
            return value
        time.sleep(0.2)
    raise RuntimeError(log.read_text(errors="replace")[-3000:])


def _port_in(log: Path) -> str | None:
    found = re.search(r"Mozhu is at \S+:(\d+)", log.read_text(errors="replace"))
    return found[1] if found else None


def _answers(server: Server, path: str) -> bool:
    try:
        server.ask(Ask("GET", path))
    except (OSError, http.client.HTTPException, RuntimeError, ValueError):
        server._kept.clear()
        return False
    return True
