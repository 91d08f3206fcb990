"""A large file through ``data check``, ``data prepare`` and ``data convert``: every row counted, memory measured."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIMIT_BYTES = 500 * 1_000_000
# One bad row in so many, and one copy of an earlier one.
_BAD, _COPY = 10_007, 50_021
_PHRASES = (Path(__file__).parent / "phrases.txt").read_text(encoding="utf-8").split("\n\n")
_MEASURED = """
import json, sys
from pathlib import Path
import mozhu
from mozhu.engine.data.convert import run_convert
from mozhu.engine.data.prepare import run_prepare
from mozhu.specs.data import DataConvertSpec, PrepareSpec
what, source = sys.argv[1:]
emit = lambda kind, **fields: None
if what == "check":
    report = mozhu.check(source)
    found = {"rows": sum(report.rows.values()), "rejected": report.counts().get("DATA-105", 0),
             "copies": report.counts().get("DATA-321", 0)}
elif what == "prepare":
    outcome = run_prepare(PrepareSpec(input=source, output_dir="out", max_rejected_share=1.0), Path(), emit)
    metrics = {name: int(metric.value) for name, metric in outcome.metrics.items()}
    found = {"rows": sum(metrics[f"{part}_rows"] for part in ("train", "validation", "test")),
             "rejected": metrics["rejected_rows"]}
    found["rows"] += found["rejected"]
else:
    spec = DataConvertSpec(input=source, to="messages", output="out.jsonl", max_rejected_share=1.0)
    run_convert(spec, Path(), emit)
    rejected = Path("out.jsonl.rejected.jsonl")
    count = lambda path: sum(1 for _ in open(path, "rb")) if path.exists() else 0
    found = {"rejected": count(rejected), "rows": count(Path("out.jsonl")) + count(rejected)}
# The kernel's own mark: ru_maxrss would count what this process was before it was ours, a copy of its parent.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
found["peak_bytes"] = int(peak.split()[1]) * 1024
print(json.dumps(found))
"""


def check_stream(size: int, *, quiet: bool = False) -> list[dict[str, Any]]:
    """One line for each verb and form: rows written and found, peak memory, seconds, and whether that is right."""
    lines = []
    with tempfile.TemporaryDirectory(prefix="mozhu-stream-") as folder:
        for form in ("jsonl", "json"):
            source = Path(folder) / f"rows.{form}"
            written = write_rows(source, size)
            for what in ("check", "prepare", "convert"):
                lines.append({"verb": f"data {what}", "form": form, **measure(what, source, written)})
                if not quiet:
                    print(_said(lines[-1]), flush=True)
            source.unlink()
    return lines


def measure(what: str, source: Path, written: dict[str, int]) -> dict[str, Any]:
    """The verb in a process of its own."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mozhu-stream-", dir=source.parent) as folder:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, what, str(source)],
            cwd=folder,
            env={**os.environ, "MOZHU_WORKSPACE": folder, "TMPDIR": folder},
            capture_output=True,
            text=True,
        )
    if done.returncode:
        return {"ok": False, "failed": done.stderr[-2000:]}
    found = json.loads(done.stdout.strip().splitlines()[-1])
    right = all(found[name] == written[name] for name in ("rows", "rejected", "copies") if name in found)
    return {
        "ok": right and found["peak_bytes"] < LIMIT_BYTES,
        "file_mb": round(source.stat().st_size / 1e6),
        **found,
        "peak_mb": round(found["peak_bytes"] / 1e6),
        "seconds": round(time.perf_counter() - began, 1),
    }


def write_rows(path: Path, size: int) -> dict[str, int]:
    """About ``size`` bytes of rows, a few of them bad and a few copies; returns how many of each there are."""
    counts = {"rows": 0, "rejected": 0, "copies": 0}
    array = path.suffix == ".json"
    with open(path, "w", encoding="utf-8") as file:
        file.write("[\n" if array else "")
        for row in _rows(counts):
            line = json.dumps(row, ensure_ascii=False)
            file.write((",\n" if array and counts["rows"] > 1 else "") + line + ("" if array else "\n"))
            if file.tell() >= size:
                break
        file.write("\n]\n" if array else "")
    return counts


def _rows(counts: dict[str, int]) -> Iterator[dict[str, str]]:
    rng = random.Random(3)
    said = [phrase for part in _PHRASES[:2] for phrase in part.split("\n")]
    first: dict[str, str] = {}
    while True:
        number = counts["rows"]
        counts["rows"] += 1
        answer = "；".join(rng.choices(said, k=40)) + "。"
        row = {"instruction": f"第 {number} 个故事怎么讲？", "input": "", "output": answer}
        if number % _BAD == _BAD - 1:
            counts["rejected"] += 1
            row["output"] = ""
        elif first and number % _COPY == _COPY - 1:
            counts["copies"] += 1
            row = first
        first = first or row
        yield row


def _said(line: dict[str, Any]) -> str:
    if "failed" in line:
        return f"FAIL {line['verb']} {line['form']}: {line['failed']}"
    mark = "ok  " if line["ok"] else "FAIL"
    rows = f"{line['rows']:,} rows, {line['rejected']} rejected"
    measured = f"{line['peak_mb']} MB of memory, {line['seconds']} s"
    return f"{mark} {line['verb']:12} {line['form']:5} {line['file_mb']} MB: {rows}; {measured}"
