"""Fifty callers at once for a minute, reading and writing; then the service is stopped and started under that load.

No peer: what is asked is that nothing fails. A caller keeps its connection as browsers and clients do, follows
``Connection: close``, and tries again where nobody listens; an answer that is no success, or none to a request that was
sent, is counted. Every fifth request writes: an upload is opened, its part sent, and completed (three requests).
"""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote

from benchmarks.harness import Measured, Sample
from benchmarks.registry_http import postgres_for_people
from benchmarks.registry_seed import model_name, seed
from benchmarks.registry_servers import Server, ours
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size

_PAGES = (
    "/api/v1/models?limit=50",
    f"/api/v1/models?search={quote('医疗')}",
    f"/api/v1/models?search={quote('天文')}",
    "/api/v1/models?tag=team-7",
    "/api/v1/models/{name}",
    "/api/v1/models/{name}:v2",
    "/api/v1/events/history",
)
_PATIENCE_S = 60.0


@dataclass
class Tally:
    """What callers met. ``broken``: requests that were sent and got no whole answer."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    refused: int = 0

    def add(self, other: Tally) -> None:
        self.statuses += other.statuses
        self.seconds += other.seconds
        self.broken += other.broken
        self.refused += other.refused

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if status >= 300)


class Caller(threading.Thread):
    """One of many; ``port`` and ``token`` are those of the service."""

    def __init__(self, number: int, server: Server, models: int, until: float) -> None:
        super().__init__()
        self.tally = Tally()
        self._number, self._server, self._models, self._until = number, server, models, until
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        count = self._number
        while time.monotonic() < self._until:
            count += 1
            if count % 5:
                name = quote(model_name((count * 7919) % self._models))
                self._ask("GET", _PAGES[count % len(_PAGES)].format(name=name))
            else:
                self._upload(f"{self._number}-{count}".encode() * 50)

    def _upload(self, content: bytes) -> None:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        body = {"files": [{"path": "a.bin", "size": len(content)}]}
        made = self._ask("POST", "/api/v1/uploads", json.dumps(body).encode())
        if made is None:
            return
        place = f"/api/v1/uploads/{made['id']}"
        if self._ask("PUT", f"{place}/parts/1", content, {"X-Part-Sha256": digest}) is not None:
            self._ask("POST", f"{place}/complete")

    def _ask(
        self, method: str, path: str, body: bytes | None = None, more: dict[str, str] | None = None
    ) -> Any | None:
        """The answer; ``None`` where it was none or no success."""
        headers = {**self._server.headers, **(more or {})}
        if body is not None and not more:
            headers["Content-Type"] = "application/json"
        connection = self._connected()
        started = time.perf_counter()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.tally.broken.append(f"{method} {path}: {error!r}")
            self._connection = None
            return None
        self.tally.seconds.append(time.perf_counter() - started)
        self.tally.statuses[answer.status] += 1
        if answer.getheader("Connection", "").lower() == "close":
            connection.close()
            self._connection = None
        return json.loads(said) if answer.status < 300 else None

    def _connected(self) -> http.client.HTTPConnection:
        """A connection that stands; whoever is turned away before a request was sent comes again."""
        deadline = time.monotonic() + _PATIENCE_S
        while self._connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=60)
            try:
                connection.connect()
            except OSError:
                self.tally.refused += 1
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                self._connection = connection
        return self._connection


def measure(work: Path, size: Size) -> list[Comparison]:
    found = []
    for engine, workers in (("SQLite", 1), ("PostgreSQL", 3)):
        folder = work / engine.lower()
        (folder / "5_models").mkdir(parents=True)
        with _database(engine, folder, size["models"]) as (address, others):
            found.append(_minute(engine, folder, address, others, workers, size))
            found.append(_restarts(engine, folder, address, others, workers, size))
    return found


@contextmanager
def _database(engine: str, folder: Path, models: int) -> Any:
    if engine == "SQLite":
        seed(folder / "5_models" / "catalog.db", models)
        yield None, ()
        return
    with postgres_for_people() as postgres:
        address = postgres.make()
        seed(address, models)
        yield address, (postgres.process.pid,)


def _minute(
    engine: str, folder: Path, address: str | None, others: Sequence[int], workers: int, size: Size
) -> Comparison:
    with ours(folder, address, others, "--workers", str(workers)) as server:
        before, started = server.cpu_s(), time.perf_counter()
        tally = _called(server, size)
        sample = Sample(time.perf_counter() - started, server.cpu_s() - before)
    return _told(f"{size['callers']} callers at once, {engine}, {workers} workers", tally, sample, size)


def _restarts(
    engine: str, folder: Path, address: str | None, others: Sequence[int], workers: int, size: Size
) -> Comparison:
    """The service gets SIGTERM under load and another takes its port."""
    port = _free_port()
    flags = ("--workers", str(workers), "--port", str(port))
    before, cpu, stops = time.perf_counter(), 0.0, 0
    with ours(folder, address, others, *flags) as first:
        callers = _start(first, size)
        time.sleep(size["seconds"] / 4)
        cpu += first.cpu_s()
        os.kill(first.process.pid, signal.SIGTERM)
        code = first.process.wait(60)
        stops += code != 0
        with ours(folder, address, others, *flags) as second:
            tally = _joined(callers)
            cpu += second.cpu_s()
    sample = Sample(time.perf_counter() - before, cpu)
    return _told(f"stopped and started under load, {engine}, {workers} workers", tally, sample, size)


def _called(server: Server, size: Size) -> Tally:
    return _joined(_start(server, size))


def _start(server: Server, size: Size) -> list[Caller]:
    until = time.monotonic() + size["seconds"]
    callers = [Caller(number, server, size["models"], until) for number in range(size["callers"])]
    for caller in callers:
        caller.start()
    return callers


def _joined(callers: Sequence[Caller]) -> Tally:
    tally = Tally()
    for caller in callers:
        caller.join()
        tally.add(caller.tally)
    return tally


def _told(title: str, tally: Tally, sample: Sample, size: Size) -> Comparison:
    limits = [
        Limit("answers that are no success", tally.failed, 0, "requests"),
        Limit("requests without an answer", len(tally.broken), 0, "requests"),
    ]
    slow = quantiles(tally.seconds, n=20)[-1] if len(tally.seconds) > 1 else 0.0
    facts = {
        "callers": size["callers"],
        "seconds": size["seconds"],
        "median_ms": round(median(tally.seconds) * 1000, 1),
        "p95_ms": round(slow * 1000, 1),
        "statuses": {str(status): count for status, count in sorted(tally.statuses.items())},
        "turned_away_before_sending": tally.refused,
        "broken": tally.broken[:5],
    }
    count = sum(tally.statuses.values())
    return Comparison(title, {"mozhu": Measured([sample])}, count, "requests", limits=limits, facts=facts)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
