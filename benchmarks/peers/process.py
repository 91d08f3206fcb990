"""A driver in a process of its own: its moments, and the most memory that it and its workers held at once."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.facts import ROOT
from benchmarks.harness import Sample

_EVERY_S = 0.2
# Every tool gets both cores in its own way.
_NOT_PASSED_ON = ("TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Driven:
    """One run of a driver. ``told`` is its answer: moments, rows, shape of the batch, perhaps a digest."""

    started: float
    peak_bytes: int
    told: dict[str, Any]

    def whole(self) -> Sample:
        """From the start of the process to the first batch."""
        end = self.told["batch"]
        return Sample(end["at"] - self.started, end["cpu_s"], self.peak_bytes, self.peak_bytes)

    def work(self) -> Sample:
        """From the end of the imports to the first batch."""
        start, end = self.told["imported"], self.told["batch"]
        return Sample(end["at"] - start["at"], end["cpu_s"] - start["cpu_s"])


def drive(python: Path, module: str, settings: Mapping[str, Any], environment: Mapping[str, str]) -> Driven:
    """What the driver ``module`` answers, run by ``python`` with ``environment`` added to this one.

    Raises:
        RuntimeError: It failed; with the end of what it wrote.
    """
    place = Path(settings["output"])
    place.mkdir(parents=True, exist_ok=True)
    asked, answer = place / "settings.json", place / "answer.json"
    asked.write_text(json.dumps(dict(settings)), encoding="utf-8")
    answer.unlink(missing_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
    words = [str(python), "-m", module, str(asked), str(answer)]
    with open(place / "output.txt", "w+", encoding="utf-8", errors="replace") as said:
        started = time.monotonic()
        process = subprocess.Popen(
            words, cwd=ROOT, env={**kept, **environment}, stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        with _Watched(process.pid) as watched:
            code = process.wait()
        if code or not answer.is_file():
            said.seek(0)
            raise RuntimeError(f"{module} ended with {code}: {said.read()[-3000:]}")
    return Driven(started, watched.peak_bytes, json.loads(answer.read_text(encoding="utf-8")))


class _Watched:
    """Looks five times a second how much memory a process and its children hold; shared pages count once."""

    def __init__(self, pid: int) -> None:
        self.peak_bytes = 0
        self._process = psutil.Process(pid)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            try:
                family = [self._process, *self._process.children(recursive=True)]
            except psutil.Error:
                return
            self.peak_bytes = max(self.peak_bytes, sum(_held(one) for one in family))


def _held(process: psutil.Process) -> int:
    try:
        found = process.memory_full_info()
        return int(getattr(found, "pss", 0) or found.uss)
    except psutil.Error:
        return 0
