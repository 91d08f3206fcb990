"""`mozhu up` as a process: says where it is, shows the token once, and stops without losing a request."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx2
import pytest

from mozhu.client.client import Client
from mozhu.platform.accounts.local_token import TOKEN_FILE
from mozhu.server.run import listen
from mozhu.specs.service import ServiceSpec

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals")


class Process:
    """``words``: what it has said so far."""

    def __init__(self, workspace: Path, *flags: str) -> None:
        environment = {**os.environ, "MOZHU_WORKSPACE": str(workspace), "MOZHU_LANG": "en"}
        command = [sys.executable, "-m", "mozhu", "up", "--port", "0", *flags]
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.words: list[str] = []
        self.address = ""
        self._awaited = int(flags[flags.index("--workers") + 1]) if "--workers" in flags else 1
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.words.append(line)
            found = re.search(r"Mozhu is at (\S+)", line)
            if found:
                self.address = found[1]
            self._awaited -= '"event": "started"' in line
            if self._awaited <= 0:
                self._ready.set()
        self._ready.set()

    def wait(self) -> None:
        assert self._ready.wait(180) and self.address, "".join(self.words)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(60)
        self._reader.join(10)
        return code


@contextmanager
def running(workspace: Path, *flags: str) -> Iterator[Process]:
    process = Process(workspace, *flags)
    try:
        process.wait()
        yield process
    finally:
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()
        process._reader.join(10)


def test_up_needs_nothing_else_and_shows_its_token_once(workspace: Path) -> None:
    with running(workspace) as up:
        token = (workspace / "5_models" / TOKEN_FILE).read_text().strip()
        assert stat.S_IMODE((workspace / "5_models" / TOKEN_FILE).stat().st_mode) == 0o600
        with Client(up.address, token) as client:
            assert client.models() == {"items": [], "next": None}
        assert up.stop() == 0
    assert sum(token in line for line in up.words) == 1
    with running(workspace) as again:
        assert again.stop(signal.SIGINT) == 0
    assert not any(token in line for line in again.words)


def test_a_taken_port_is_a_clear_error(workspace: Path) -> None:
    with running(workspace) as up:
        port = up.address.rpartition(":")[2]
        environment = {**os.environ, "MOZHU_WORKSPACE": str(workspace), "MOZHU_LANG": "en"}
        command = [sys.executable, "-m", "mozhu", "up", "--port", port]
        second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert second.returncode == 5 and "API-030" in second.stderr


def test_a_stop_loses_no_request(workspace: Path) -> None:
    """Whoever is connected is answered whole, and told with the answer that the connection ends."""
    answered, broken = [0], []
    with running(workspace) as up:
        token = (workspace / "5_models" / TOKEN_FILE).read_text().strip()
        goodbyes: list[int] = []

        def ask() -> None:
            headers = {"Authorization": f"Bearer {token}"}
            with httpx2.Client(base_url=up.address, headers=headers, timeout=30) as http:
                while True:
                    try:
                        answer = http.get("/api/v1/models")
                        assert answer.status_code == 200 and answer.json()["next"] is None
                    except httpx2.TransportError as error:
                        broken.append(repr(error))
                        return
                    answered[0] += 1
                    if answer.headers.get("connection") == "close":
                        goodbyes.append(1)
                        return

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        while answered[0] < 50 and not broken:
            time.sleep(0.01)
        assert up.stop() == 0
        for thread in threads:
            thread.join(30)
    assert answered[0] >= 50 and broken == [] and len(goodbyes) == len(threads)


def test_several_workers_share_a_postgresql(workspace: Path, postgres_url: str, tmp_path: Path) -> None:
    """Every worker answers, a key is done once whoever gets it, metrics are of all, and all stop together."""
    flags = ("--workers", "2", "--database", postgres_url, "--webhook_private_addresses")
    with running(workspace, *flags) as up:
        token = (workspace / "5_models" / TOKEN_FILE).read_text().strip()
        hook = {"url": "http://127.0.0.1:9/", "events": ["version.ready"]}

        def ask(number: int) -> int:
            headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"hook-{number % 5}"}
            with httpx2.Client(base_url=up.address, headers=headers, timeout=60) as http:
                if number % 2:
                    return http.get("/api/v1/models").status_code
                return http.post("/api/v1/webhooks", json=hook).status_code

        with ThreadPoolExecutor(10) as pool:
            answers = set(pool.map(ask, range(40)))
        with Client(up.address, token) as client:
            assert len(client.webhooks()["items"]) == 5
        counted = httpx2.get(f"{up.address}/metrics").text
        found = re.findall(
            r'mozhu_http_requests_total\{method="GET",route="/api/v1/models".*\} (\S+)', counted
        )
        assert answers <= {200, 201, 409} and sum(map(float, found)) == 20
        assert sum('"event": "started"' in line for line in up.words) == 2
        assert up.stop() == 0


def test_callers_who_come_and_go_lose_nothing_when_it_stops(workspace: Path) -> None:
    """A new connection for every request: whoever got through the door has an answer, others are turned away."""
    broken, turned_away = [], [0]
    with running(workspace) as up:
        host, port = up.address.removeprefix("http://").split(":")
        token = (workspace / "5_models" / TOKEN_FILE).read_text().strip()
        answered = [0]

        def ask() -> None:
            while True:
                connection = http.client.HTTPConnection(host, int(port), timeout=30)
                try:
                    connection.connect()
                except OSError:
                    turned_away[0] += 1
                    return
                try:
                    connection.request("GET", "/api/v1/models", headers={"Authorization": f"Bearer {token}"})
                    assert connection.getresponse().read()
                    answered[0] += 1
                except (OSError, http.client.HTTPException) as error:
                    broken.append(repr(error))
                connection.close()

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        while answered[0] < 100 and not broken:
            time.sleep(0.01)
        assert up.stop() == 0
        for thread in threads:
            thread.join(30)
    assert broken == [] and turned_away[0] == len(threads)


def test_what_is_sent_is_not_held_back() -> None:
    """An answer in two pieces must not wait for the first to be acknowledged: asyncio asks the socket for its kind."""
    with closing(listen(ServiceSpec(port=0))) as listening:
        assert listening.proto == socket.IPPROTO_TCP


def test_several_workers_on_sqlite_are_refused(workspace: Path) -> None:
    environment = {**os.environ, "MOZHU_WORKSPACE": str(workspace), "MOZHU_LANG": "en"}
    command = [sys.executable, "-m", "mozhu", "up", "--workers", "2", "--dry_run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "API-031" in done.stderr
