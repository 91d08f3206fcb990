"""``python -m benchmarks.run [--full] [--only NAME] [--again] [--json]``: measure, show, keep in ``results/``.

``results/<name>.json`` holds the newest ``short`` and the newest ``full`` record of a benchmark. ``--full`` goes
on where it was stopped: what was finished with this code and these libraries is shown again, not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.facts import ROOT, code_version
from benchmarks.report import table
from benchmarks.table import BENCHMARKS, FULL, SHORT
from mozhu.kernel.files import read_json, write_json

RESULTS = ROOT / "benchmarks" / "results"
# One thread on both sides: on a shared machine waiting threads burn CPU. Nothing is asked of the network.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "PYTHONHASHSEED": "0",
}


def main(argv: Sequence[str] | None = None) -> int:
    options = _options(argv)
    size = FULL if options.full else SHORT
    named = options.only or [name for name in BENCHMARKS if size in BENCHMARKS[name].sizes]
    records = []
    for name in named:
        if size not in BENCHMARKS[name].sizes:
            print(f"{name}: measured with --full only", file=sys.stderr)
            continue
        records.append(run_one(name, size, resume=options.full and not options.again))
        if not options.json:
            print(_shown(records[-1]), flush=True)
    if options.json:
        print(json.dumps(records, ensure_ascii=False, indent=2))
    return 1 if any("failed" in record for record in records) else 0


def run_one(name: str, size: str, *, resume: bool) -> dict[str, Any]:
    """The record of one benchmark, measured now or, with ``resume``, found finished."""
    place = RESULTS / f"{name}.json"
    kept = read_json(place) if place.is_file() else {}
    if resume and is_finished(kept.get(size), code_version(BENCHMARKS[name].module)):
        found: dict[str, Any] = kept[size]
        return found
    record = _measured_apart(name, size)
    if not {"failed", "skipped"} & set(record):
        write_json(place, {**kept, size: record})
    return record


def is_finished(record: dict[str, Any] | None, code: str) -> bool:
    return record is not None and record.get("code") == code and "comparisons" in record


def _measured_apart(name: str, size: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="mozhu-benchmarks-") as folder:
        answer = Path(folder) / "record.json"
        environment = {**os.environ, **_ENVIRONMENT, "MOZHU_WORKSPACE": folder}
        words = [sys.executable, "-m", "benchmarks.one", name, size, str(answer)]
        done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
        if done.returncode or not answer.is_file():
            return {"name": name, "size": size, "failed": done.stderr[-4000:]}
        record: dict[str, Any] = read_json(answer)
        return record


def _shown(record: dict[str, Any]) -> str:
    for word in ("failed", "skipped"):
        if word in record:
            return f"{record['name']} ({record['size']}): {word}: {record[word]}"
    return table(record)


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("--full", action="store_true", help="the full sizes, minutes to hours; resumable")
    parser.add_argument("--only", action="append", choices=list(BENCHMARKS), help="one benchmark; repeatable")
    parser.add_argument("--again", action="store_true", help="measure anew what is finished")
    parser.add_argument("--json", action="store_true", help="records on standard output instead of tables")
    return parser.parse_args(argv)


def _stop(number: int, frame: FrameType | None) -> None:
    """A killed run ends its benchmark and removes its files, as one stopped with Ctrl-C does."""
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main())
