"""A sender that is cut off at random: its connections, or the server itself, killed in the middle of a part."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from mozhu.specs.uploads import find_part

_PIECE_BYTES = 256 << 10
_TAIL_BYTES = 5 << 20


class Server:
    """The service in a process of its own; it may be killed and started again on the same port."""

    def __init__(self, root: Path) -> None:
        self.root, self.port = root, 0
        self.peak_bytes = 0
        self.start()

    def start(self) -> None:
        words = [sys.executable, "-m", "benchmarks.upload_server", str(self.root), str(self.port)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        """Killed at once (SIGKILL); its largest memory until then is kept."""
        with suppress(OSError):
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
            peak = next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
            self.peak_bytes = max(self.peak_bytes, peak)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    @property
    def cpu_s(self) -> float:
        """CPU seconds that it has taken since it started."""
        spent = psutil.Process(self._process.pid).cpu_times()
        return float(spent.user + spent.system)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            answer = connection.getresponse()
            value = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(value)
        return value


@dataclass
class Sent:
    """What a sender has done. ``repeated`` are acknowledged parts that were asked for again: there may be none."""

    bytes: int = 0
    cuts: int = 0
    kills: int = 0
    in_flight_bytes: int = 0
    acknowledged: set[int] = field(default_factory=set)
    repeated: set[int] = field(default_factory=set)


class Sender:
    """Sends one file in parallel, each round what the server says is missing.

    Args:
        cuts: At how many sent bytes to cut, ascending, and whether the server is killed there.
    """

    def __init__(self, server: Server, path: Path, *, threads: int, cuts: list[tuple[int, bool]]) -> None:
        self._server, self._path, self._threads, self._cuts = server, path, threads, list(cuts)
        self._size = path.stat().st_size
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._connections: list[http.client.HTTPConnection] = []
        self._flying: dict[int, int] = {}
        self.sent = Sent()

    def send(self) -> dict[str, Any]:
        """The upload is complete; what the server says of it."""
        view = self._server.ask("POST", "/uploads", [{"path": self._path.name, "size": self._size}])
        while True:
            missing = [n for first, last in view["missing"] for n in range(first, last + 1)]
            self.sent.repeated |= self.sent.acknowledged & set(missing)
            if not missing:
                break
            self._round(view, missing)
            view = self._server.ask("GET", f"/uploads/{view['id']}")
        done: dict[str, Any] = self._server.ask("POST", f"/uploads/{view['id']}/complete")
        return done

    def _round(self, view: dict[str, Any], missing: list[int]) -> None:
        self._stopped.clear()
        self._flying, left = {}, iter(missing)
        threads = [threading.Thread(target=self._work, args=(view, left)) for _ in range(self._threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._connections.clear()

    def _work(self, view: dict[str, Any], left: Any) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._server.port, timeout=600)
        with self._lock:
            self._connections.append(connection)
        try:
            with open(self._path, "rb") as file:
                while not self._stopped.is_set():
                    with self._lock:
                        number = next(left, None)
                    if number is None:
                        return
                    self._part(connection, file, view, number)
        except (OSError, http.client.HTTPException):
            if not self._stopped.is_set():
                raise
        finally:
            connection.close()

    def _part(
        self, connection: http.client.HTTPConnection, file: Any, view: dict[str, Any], number: int
    ) -> None:
        part = find_part([self._size], view["part_size"], number)
        assert part is not None
        content = os.pread(file.fileno(), part.size, part.offset)
        with self._lock:
            self._flying[number] = part.size
        connection.putrequest("PUT", f"/uploads/{view['id']}/parts/{number}")
        connection.putheader("Content-Length", str(part.size))
        connection.putheader("X-Sha256", "sha256:" + hashlib.sha256(content).hexdigest())
        connection.endheaders()
        for at in range(0, part.size, _PIECE_BYTES):
            piece = content[at : at + _PIECE_BYTES]
            connection.send(piece)
            self._count(len(piece), is_inside=at + len(piece) < part.size)
        answer = connection.getresponse()
        answer.read()
        if answer.status == 200:
            with self._lock:
                self.sent.acknowledged.add(number)
                self._flying.pop(number, None)

    def _count(self, size: int, *, is_inside: bool) -> None:
        """A cut that is due waits for a piece inside a part, so that a part is left to send and the next cut comes."""
        with self._lock:
            self.sent.bytes += size
            is_due = bool(self._cuts) and self.sent.bytes >= self._cuts[0][0]
            if is_due and is_inside and not self._stopped.is_set():
                self._cut(self._cuts.pop(0)[1])

    def _cut(self, is_kill: bool) -> None:
        self._stopped.set()
        self.sent.cuts += 1
        self.sent.in_flight_bytes += sum(self._flying.values())
        if is_kill:
            self.sent.kills += 1
            self._server.kill()
            self._server.start()
        for connection in self._connections:
            with suppress(OSError, AttributeError):
                connection.sock.close()


def random_cuts(size: int, count: int, kills: int, seed: int) -> list[tuple[int, bool]]:
    """``count`` places in ``size`` bytes, of which ``kills`` end the server, spread by chance.

    None lies in the last 5 MiB: there may be nothing but last pieces of parts left to send there.
    """
    dice = random.Random(seed)
    places = sorted(dice.sample(range(1, size - _TAIL_BYTES), count))
    killed = set(dice.sample(range(count), kills))
    return [(place, number in killed) for number, place in enumerate(places)]
