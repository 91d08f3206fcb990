"""An upload by the product's own client to the product's own service, cut at random; both may be killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.facts import ROOT
from benchmarks.upload_wire import Cut, Kind, Seen, Wire
from mozhu.platform.accounts.local_token import local_token

_STARTS_S = 120.0


class Service:
    """`mozhu up` over a workspace of its own; it may be killed and started again on the same port."""

    def __init__(self, workspace: Path) -> None:
        (workspace / "0_configs").mkdir(parents=True)
        self.workspace, self.port, self.peak_bytes = workspace, 0, 0
        # The first start of all makes the database, for which it needs more than it needs ever after.
        self.start()
        self._end()
        self.start()
        self.token = local_token(workspace / "5_models").token

    def start(self) -> None:
        environment = {**os.environ, "MOZHU_WORKSPACE": str(self.workspace), "MOZHU_LANG": "en"}
        words = [sys.executable, "-m", "mozhu", "up", "--port", str(self.port)]
        log = self.workspace / "service.log"
        with open(log, "wb") as out:
            self.process = subprocess.Popen(words, env=environment, stdout=out, stderr=out, cwd=ROOT)
        deadline = time.monotonic() + _STARTS_S
        while not self._is_ready(log.read_text(errors="replace")):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(log.read_text(errors="replace")[-3000:])
            time.sleep(0.05)

    def _is_ready(self, said: str) -> bool:
        """It says where it listens before its database is there, and answers after that."""
        found = re.search(r"Mozhu is at \S+:(\d+)", said)
        if found is None:
            return False
        self.port = int(found[1])
        with suppress(OSError), urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
        return False

    def kill(self) -> None:
        """Killed at once (SIGKILL); its largest memory until then is kept."""
        self.peak_bytes = max(self.peak_bytes, peak_of(self.process.pid))
        self._end()

    def _end(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@dataclass(frozen=True)
class Outcome:
    """What came of it. ``upload`` is what the service says at the end."""

    seen: Seen
    upload: dict[str, Any]
    service_peak_bytes: int
    client_peak_bytes: int


class CutUpload:
    """Sends ``path`` to a service of its own, however often it is cut; clients that were killed are started again."""

    def __init__(self, work: Path, path: Path, cuts: list[Cut]) -> None:
        self._path, self._records = path, work / "records"
        self.service = Service(work / "workspace")
        self._wire = Wire(self.service.port, cuts, self._carry_out)
        self._client: subprocess.Popen[str] | None = None
        self._client_peak, self._restarts = 0, list[threading.Thread]()

    def run(self) -> Outcome:
        try:
            told = self._until_done()
        finally:
            for thread in self._restarts:
                thread.join()
            self._wire.close()
            self.service.kill()
        peak = max(self._client_peak, told["peak_bytes"])
        return Outcome(self._wire.seen, told["upload"], self.service.peak_bytes, peak)

    def _until_done(self) -> dict[str, Any]:
        while True:
            self._client = self._started()
            out, error = self._client.communicate()
            if self._client.returncode == 0:
                told: dict[str, Any] = json.loads(out)
                return told
            if self._client.returncode != -signal.SIGKILL:
                raise RuntimeError(error[-3000:])

    def _started(self) -> subprocess.Popen[str]:
        environment = {**os.environ, "MOZHU_TOKEN": self.service.token, "MOZHU_UPLOADS": str(self._records)}
        words = [sys.executable, "-m", "benchmarks.upload_client"]
        words += [f"http://127.0.0.1:{self._wire.port}", str(self._path)]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, env=environment, stdout=pipe, stderr=pipe, text=True, cwd=ROOT)

    def _carry_out(self, kind: Kind) -> None:
        if kind == "client" and self._client is not None:
            self._client_peak = max(self._client_peak, peak_of(self._client.pid))
            self._client.send_signal(signal.SIGKILL)
        if kind == "server":
            self.service.kill()
            # The client asks in vain meanwhile, as it would of a machine that starts again.
            self._restarts.append(threading.Thread(target=self.service.start))
            self._restarts[-1].start()


def peak_of(pid: int) -> int:
    """The largest resident memory of a process so far, in bytes; 0 of one that is gone."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
    return 0
