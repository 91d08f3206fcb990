"""What an upload costs, and that nothing acknowledged is lost.

Peer: one pass that reads a file, hashes it (sha256) and writes it to the same disk (fsync) - the least that any upload
which proves its content must do. Ours does all of it with the product's client, over the product's REST service in
another process: the whole is hashed, each part is hashed again on both sides and made durable, the file is put together
and read back. Both are timed until the file is durable; CPU is that of both processes.

The second part cuts an upload at random places, among them kills of the service and of the client inside parts, and
counts on the wire between them.
"""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.harness import Sample, alternate, in_process, timed
from benchmarks.registry_servers import Server, ours
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from benchmarks.upload_cuts import CutUpload, Outcome, peak_of
from benchmarks.upload_wire import Kind, random_cuts
from mozhu.client.client import Client
from mozhu.client.upload_progress import UploadProgress

_BLOCK = 1 << 20
_STAGES = ("hashing", "sending", "checking")


def measure(work: Path, size: Size) -> list[Comparison]:
    os.environ["MOZHU_UPLOADS"] = str(work / "records")
    path = _file(work / "model.safetensors", size["mib"] << 20)
    return [_speed(work, path, size["rounds"]), _cuts(work, path, size["cuts"])]


def _speed(work: Path, path: Path, rounds: int) -> Comparison:
    workspace = work / "speed"
    (workspace / "0_configs").mkdir(parents=True)
    number, stages = iter(range(1, 1000)), _Stages()
    with ours(workspace, None, ()):
        pass  # the first start of all makes the database, for which it needs more than it needs ever after

    def one_pass() -> None:
        hashed = hashlib.sha256()
        with open(path, "rb") as source, open(work / "copy", "wb") as target:
            while block := source.read(_BLOCK):
                hashed.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        (work / "copy").unlink()

    with ours(workspace, None, ()) as server, _client(server) as client:

        def send() -> Sample:
            # Other content each time: a known one would not be sent at all.
            _touch(path, next(number))
            before = server.cpu_s()
            with stages:
                sent = timed(lambda: client.upload(path, on_progress=stages.tell) and None)
            return Sample(sent.wall_s, sent.cpu_s + server.cpu_s() - before)

        peers = {"mozhu": in_process(send), "read + sha256 + write": in_process(one_pass)}
        measured = alternate(peers, rounds)
        peak = peak_of(server.process.pid)
    return Comparison(
        title="an upload over REST",
        measured=measured,
        amount=path.stat().st_size / 1e6,
        unit="MB",
        against=[("mozhu", "read + sha256 + write")],
        limits=[Limit("memory of the service", peak / (1 << 20), 100, "MiB")],
        facts={"parts at once": 4, "seconds of each stage": stages.medians()},
    )


@dataclass
class _Stages:
    """How long each stage of an upload took, by what its progress told."""

    rounds: list[dict[str, float]] = field(default_factory=list)

    def __enter__(self) -> None:
        self.rounds.append({})

    def tell(self, progress: UploadProgress) -> None:
        self.rounds[-1].setdefault(progress.stage, time.perf_counter())

    def __exit__(self, *error: object) -> None:
        ends = [*(self.rounds[-1][stage] for stage in _STAGES[1:]), time.perf_counter()]
        starts = self.rounds[-1]
        self.rounds[-1] = {stage: end - starts[stage] for stage, end in zip(_STAGES, ends)}

    def medians(self) -> dict[str, float]:
        return {stage: round(median(one[stage] for one in self.rounds), 3) for stage in _STAGES}


def _client(server: Server) -> Client:
    return Client(f"http://127.0.0.1:{server.port}", server.headers["Authorization"].split()[1])


def _cuts(work: Path, path: Path, counts: dict[Kind, int]) -> Comparison:
    """Once: it is a proof, no race."""
    size = path.stat().st_size
    made: list[Outcome] = []

    def cut_upload() -> None:
        folder = work / "cuts"
        folder.mkdir()
        made.append(CutUpload(folder, path, random_cuts(size, counts, seed=4711)).run())

    measured = alternate({"mozhu": in_process(cut_upload)}, 1)
    done, seen = made[0], made[0].seen
    return Comparison(
        title=f"an upload with {sum(counts.values())} cuts",
        measured=measured,
        amount=size / 1e6,
        unit="MB",
        runs=1,
        limits=[
            Limit("acknowledged parts sent again", len(seen.repeated), 0, "parts"),
            Limit(
                "bytes sent again, of those in flight",
                (seen.bytes - size) / 1e6,
                seen.in_flight_bytes / 1e6,
                "MB",
            ),
            Limit("sha256 that differ", int(done.upload["files"][0]["sha256"] != _sha256(path)), 0, "files"),
            Limit("cuts that did not happen", sum(counts.values()) - sum(seen.cuts.values()), 0, "cuts"),
            Limit("memory of the service", done.service_peak_bytes / (1 << 20), 100, "MiB"),
            Limit("memory of the client", done.client_peak_bytes / (1 << 20), 100, "MiB"),
        ],
        facts={
            "parts at once": 4,
            "connections cut": seen.cuts["line"],
            "kills of the service": seen.cuts["server"],
            "kills of the client": seen.cuts["client"],
        },
    )


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        hashed = hashlib.sha256()
        while block := file.read(_BLOCK):
            hashed.update(block)
    return "sha256:" + hashed.hexdigest()


def _file(path: Path, size: int) -> Path:
    with open(path, "wb") as file:
        for _ in range(size // _BLOCK):
            file.write(os.urandom(_BLOCK))
        file.write(os.urandom(size % _BLOCK))
    return path


def _touch(path: Path, number: int) -> None:
    with open(path, "r+b") as file:
        file.write(number.to_bytes(8, "little"))
        file.flush()
        os.fsync(file.fileno())
