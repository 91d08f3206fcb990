"""One benchmark in a process of its own, so that none finds what another left in memory.

``python -m benchmarks.one NAME SIZE FILE`` writes the record to FILE and works beside it; ``run.py`` starts it and
removes what is left, also of one that was killed.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.facts import code_version, libraries, load_average, machine
from benchmarks.harness import RUNS, Skipped
from benchmarks.table import BENCHMARKS
from mozhu import __version__
from mozhu.kernel.files import write_json


def measure(name: str, size: str, place: Path) -> dict[str, Any]:
    """The record of one benchmark, which works below ``place``; ``skipped`` says why where there is nothing else."""
    benchmark = BENCHMARKS[name]
    code, load, started = code_version(benchmark.module), load_average(), time.monotonic()
    date = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = {"schema": 1, "name": name, "size": size, "date": date, "code": code, "mozhu": __version__}
    with tempfile.TemporaryDirectory(prefix="work-", dir=place) as folder:
        try:
            module = importlib.import_module(f"benchmarks.{benchmark.module}")
            comparisons = module.measure(Path(folder), benchmark.sizes[size])
        except Skipped as reason:
            return {**head, "machine": machine(), "skipped": str(reason)}
    return {
        **head,
        "machine": machine(),
        "libraries": libraries(),
        "load": [load, load_average()],
        "runs": benchmark.sizes[size].get("rounds", RUNS),
        "seconds": round(time.monotonic() - started, 1),
        "comparisons": [item.to_json() for item in comparisons],
    }


if __name__ == "__main__":
    write_json(sys.argv[3], measure(sys.argv[1], sys.argv[2], Path(sys.argv[3]).parent))
