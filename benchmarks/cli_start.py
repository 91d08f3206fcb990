"""How long a person waits for ``--help``: the command line against Python itself.

Peers: ``python -c pass`` is the physical limit, no program written in Python starts faster; ``import
transformers`` is what a command line pays that imports its libraries before it knows what is asked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.harness import Measured, alternate, command
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size

_LIMITS_MS = {"mozhu --help": 60, "mozhu train --help": 250}


def measure(work: Path, size: Size) -> list[Comparison]:
    script = Path(sys.executable).parent / "mozhu"
    mozhu = [str(script)] if script.exists() else [sys.executable, "-m", "mozhu"]
    peers = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "mozhu --help": [*mozhu, "--help"],
        "mozhu train --help": [*mozhu, "train", "--help"],
        "import transformers": [sys.executable, "-c", "import transformers"],
    }
    for words in peers.values():  # once unmeasured: byte code is written, files are in memory
        command(words)()
    measured = alternate({name: command(words) for name, words in peers.items()})
    return [
        Comparison(
            "start to end of one command",
            measured,
            against=[
                (name, peer) for name in _LIMITS_MS for peer in ("python -c pass", "import transformers")
            ],
            limits=[_limit(name, measured[name], limit) for name, limit in _LIMITS_MS.items()],
        )
    ]


def _limit(name: str, measured: Measured, limit_ms: float) -> Limit:
    return Limit(f"{name}, CPU", 1000 * (measured.figure("cpu_s") or 0.0), limit_ms, "ms")
