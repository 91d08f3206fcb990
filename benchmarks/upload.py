"""What an upload costs, and that nothing acknowledged is lost.

Peer: one pass that reads a file, hashes it (sha256) and writes it to the same disk (fsync) - the least that any upload
which proves its content must do. Ours does all of it over HTTP into another process, part by part, each durable, then
puts the file together and reads it back. Both are timed from the first byte to the durable file.

The second part cuts an upload at random places, among them kills of the server inside a part, and counts.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from benchmarks.harness import alternate, in_process
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from benchmarks.upload_sender import Sender, Server, random_cuts

_BLOCK = 1 << 20
_THREADS = 3


def measure(work: Path, size: Size) -> list[Comparison]:
    path = _file(work / "model.safetensors", size["mib"] << 20)
    return [_speed(work, path, size["rounds"]), _cuts(work, path, size["cuts"], size["kills"])]


def _speed(work: Path, path: Path, rounds: int) -> Comparison:
    server = Server(_folder(work / "speed"))
    number = iter(range(1000))

    def ours() -> None:
        # Other content each time: a known one would not be sent at all.
        _touch(path, next(number))
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


def _cuts(work: Path, path: Path, count: int, kills: int) -> Comparison:
    _touch(path, 4711)
    server = Server(_folder(work / "cuts"))
    size = path.stat().st_size
    sender = Sender(server, path, threads=_THREADS, cuts=random_cuts(size, count, kills, seed=7))
    told = {}

    def cut_upload() -> None:
        told.update(sender.send())

    try:
        measured = alternate({"mozhu": in_process(cut_upload)}, 1)
    finally:
        server.kill()
    sent, hashed = sender.sent, hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
    equal = told["files"][0]["sha256"] == "sha256:" + hashed.hexdigest()
    return Comparison(
        title=f"an upload with {sent.cuts} cuts, {sent.kills} of them kill -9 of the server",
        measured=measured,
        amount=size / 1e6,
        unit="MB",
        limits=[
            Limit("acknowledged parts sent again", len(sent.repeated), 0, "parts"),
            Limit(
                "bytes sent again, of those in flight",
                (sent.bytes - size) / 1e6,
                sent.in_flight_bytes / 1e6,
                "MB",
            ),
            Limit("sha256 that differ", 0 if equal else 1, 0, "files"),
            Limit("cuts that did not happen", count - sent.cuts, 0, "cuts"),
            Limit("memory of the server", server.peak_bytes / 1e6, 100, "MB"),
        ],
        facts={"threads": _THREADS, "cuts": sent.cuts, "kills": sent.kills},
    )


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
