"""Fair measurements on a machine that others use too: alternating runs, medians, CPU beside wall time.

Peers take turns, so a busy minute slows all of them; the order turns round every round. A ratio is given with
its lowest and highest value over the rounds, so a reader sees how far the machine's noise goes.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

RUNS = 5
_NOTHING_BYTES = 4 << 20  # no ratio to a peer that needs no memory of its own
FIGURES = ("wall_s", "cpu_s", "added_bytes")


@dataclass(frozen=True)
class Sample:
    """One run. ``cpu_s`` counts child processes; ``peak_bytes`` is the most that was resident and
    ``added_bytes`` how much of it the work itself brought; both are known for forked work only.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int | None = None
    added_bytes: int | None = None


Peer = Callable[[], Sample]
Work = Callable[[], "Sample | None"]


class Skipped(Exception):
    """A benchmark that cannot run on this machine now; its text says why."""


@dataclass(frozen=True)
class Measured:
    """All runs of one peer, in their order; every figure is a median."""

    samples: list[Sample] = field(default_factory=list)

    def figure(self, name: str) -> float | None:
        values = [value for sample in self.samples if (value := getattr(sample, name)) is not None]
        return float(median(values)) if values else None


@dataclass(frozen=True)
class Ratio:
    """``of`` divided by ``to`` in one figure: of the medians, with the extremes of single rounds."""

    of: str
    to: str
    figure: str
    value: float
    low: float
    high: float


def alternate(peers: Mapping[str, Peer], runs: int = RUNS) -> dict[str, Measured]:
    """``runs`` samples of every peer: first to last in one round, last to first in the next."""
    measured = {name: Measured() for name in peers}
    for number in range(runs):
        order = list(peers)
        for name in order if number % 2 == 0 else reversed(order):
            measured[name].samples.append(peers[name]())
    return measured


def ratio(measured: Mapping[str, Measured], of: str, to: str, figure: str = "cpu_s") -> Ratio | None:
    """How many times more of ``figure`` the peer ``of`` takes than ``to``; ``None`` where one has none."""
    ours, theirs = measured[of].figure(figure), measured[to].figure(figure)
    if ours is None or not theirs or (figure == "added_bytes" and theirs < _NOTHING_BYTES):
        return None
    pairs = zip(measured[of].samples, measured[to].samples, strict=True)
    rounds = [getattr(a, figure) / getattr(b, figure) for a, b in pairs if getattr(b, figure)]
    return Ratio(of, to, figure, ours / theirs, min(rounds), max(rounds))


def timed(work: Work) -> Sample:
    """Run ``work`` here; where it gives a sample of its own (of a part of what it did), that one counts."""
    wall, cpu = time.perf_counter(), cpu_seconds()
    own = work()
    return own or Sample(time.perf_counter() - wall, cpu_seconds() - cpu)


def in_process(work: Work) -> Peer:
    """``work`` in this process, for short work that leaves nothing behind."""
    return lambda: timed(work)


def in_fork(work: Work, *, before: Callable[[], object] = lambda: None) -> Peer:
    """``work`` in a fork of this process: libraries are there already, memory and files are its own.

    ``before`` runs first, here and unmeasured (it removes what the last run left).
    """

    def run() -> Sample:
        before()
        return forked(lambda: vars(_with_memory(work)), lambda answer: Sample(**answer))

    return run


def forked(work: Callable[[], Any], read: Callable[[Any], Any] = lambda answer: answer) -> Any:
    """The JSON value that ``work`` gives in a fork of this process.

    Raises:
        RuntimeError: With the traceback of what went wrong there.
    """
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _answer(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        content = file.read()
    os.waitpid(pid, 0)
    told = json.loads(content) if content else {"error": "the process died without an answer"}
    if "error" in told:
        raise RuntimeError(told["error"])
    return read(told["value"])


def command(words: Sequence[str], *, before: Callable[[], object] = lambda: None) -> Peer:
    """A command in a process of its own, its output thrown away.

    Raises:
        RuntimeError: It failed; with the end of what it wrote.
    """

    def run() -> Sample:
        before()
        wall, cpu = time.perf_counter(), cpu_seconds()
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        sample = Sample(time.perf_counter() - wall, cpu_seconds() - cpu)
        if done.returncode:
            raise RuntimeError(f"{Path(words[0]).name} {' '.join(words[1:])}: {done.stderr[-2000:]}")
        return sample

    return run


def cpu_seconds() -> float:
    """User and system time of this process, its threads and its finished child processes."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def quiet(kind: str, **fields: Any) -> None:
    """Takes the events of a run and keeps none."""


def _answer(work: Callable[[], Any], writer: int) -> NoReturn:
    """Send what ``work`` gives, or its traceback, and end this process without the parent's clean-up."""
    try:
        told = {"value": work()}
    except BaseException:
        told = {"error": traceback.format_exc()}
    with os.fdopen(writer, "wb") as file:
        file.write(json.dumps(told).encode())
    os._exit(0)


def _with_memory(work: Work) -> Sample:
    before = _restart_peak()
    sample = timed(work)
    peak = _memory("VmHWM")
    if before is None or peak is None:
        return sample
    return Sample(sample.wall_s, sample.cpu_s, peak, max(0, peak - before))


def _restart_peak() -> int | None:
    """Start the system's high-water mark anew at what is resident now; ``None`` where it keeps none."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmHWM")


def _memory(name: str) -> int | None:
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return None
