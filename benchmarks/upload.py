"""What an upload costs, and that nothing acknowledged is lost.

Peer: one pass that reads a file, hashes it (sha256) and writes it to the same disk (fsync) - the least that any upload
which proves its content must do. Ours does all of it over HTTP into another process, part by part, each durable, then
puts the file together and reads it back. Both are timed from the first byte to the durable file.

The second part cuts an upload at random places, among them kills of the server inside a part, and counts.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness import Sample, alternate, in_process, timed
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from benchmarks.upload_sender import Sender, Sent, Server, random_cuts

_BLOCK = 1 << 20
_THREADS = 3


def measure(work: Path, size: Size) -> list[Comparison]:
    path = _file(work / "model.safetensors", size["mib"] << 20)
    rounds = size["rounds"]
    return [_speed(work, path, rounds), _cuts(work, path, size["cuts"], size["kills"], rounds)]


def _speed(work: Path, path: Path, rounds: int) -> Comparison:
    server = Server(_folder(work / "speed"))
    number = iter(range(1000))

    def ours() -> Sample:
        # Other content each time: a known one would not be sent at all.
        _touch(path, next(number))
        before = server.cpu_s
        sent = timed(lambda: send(server))
        return Sample(sent.wall_s, sent.cpu_s + server.cpu_s - before)

    def send(server: Server) -> None:
        Sender(server, path, threads=_THREADS, cuts=[]).send()

    def one_pass() -> None:
        hashed = hashlib.sha256()
        with open(path, "rb") as source, open(work / "copy", "wb") as target:
            while block := source.read(_BLOCK):
                hashed.update(block)
                target.write(block)
            target.flush()
            os.fsync(target.fileno())
        (work / "copy").unlink()

    try:
        measured = alternate(
            {"mozhu": in_process(ours), "read + sha256 + write": in_process(one_pass)}, rounds
        )
    finally:
        server.kill()
    return Comparison(
        title="an upload over HTTP",
        measured=measured,
        amount=path.stat().st_size / 1e6,
        unit="MB",
        against=[("mozhu", "read + sha256 + write")],
        limits=[Limit("memory of the server", server.peak_bytes / 1e6, 100, "MB")],
        facts={"threads": _THREADS},
    )


def _cuts(work: Path, path: Path, count: int, kills: int, rounds: int) -> Comparison:
    size, total = path.stat().st_size, _Total()
    number = iter(range(4711, 9999))

    def cut_upload() -> None:
        seed = next(number)
        _touch(path, seed)
        server = Server(_folder(work / f"cuts-{seed}"))
        sender = Sender(server, path, threads=_THREADS, cuts=random_cuts(size, count, kills, seed=seed))
        try:
            told = sender.send()
        finally:
            server.kill()
        total.add(sender.sent, is_equal=told["files"][0]["sha256"] == _sha256(path), peak=server.peak_bytes)

    measured = alternate({"mozhu": in_process(cut_upload)}, rounds)
    return Comparison(
        title=f"an upload with {count} cuts, {kills} of them kill -9 of the server",
        measured=measured,
        amount=size / 1e6,
        unit="MB",
        limits=[
            Limit("acknowledged parts sent again", total.repeated, 0, "parts"),
            Limit(
                "bytes sent again, of those in flight",
                (total.bytes - rounds * size) / 1e6,
                total.in_flight_bytes / 1e6,
                "MB",
            ),
            Limit("sha256 that differ", total.different, 0, "files"),
            Limit("cuts that did not happen", rounds * count - total.cuts, 0, "cuts"),
            Limit("memory of the server", total.peak_bytes / 1e6, 100, "MB"),
        ],
        facts={"threads": _THREADS, "cuts": total.cuts, "kills": total.kills},
    )


@dataclass
class _Total:
    """All rounds together; ``peak_bytes`` is the largest memory of any of their servers."""

    repeated: int = 0
    bytes: int = 0
    in_flight_bytes: int = 0
    different: int = 0
    cuts: int = 0
    kills: int = 0
    peak_bytes: int = 0

    def add(self, sent: Sent, *, is_equal: bool, peak: int) -> None:
        self.repeated += len(sent.repeated)
        self.bytes += sent.bytes
        self.in_flight_bytes += sent.in_flight_bytes
        self.different += not is_equal
        self.cuts, self.kills = self.cuts + sent.cuts, self.kills + sent.kills
        self.peak_bytes = max(self.peak_bytes, peak)


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


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
