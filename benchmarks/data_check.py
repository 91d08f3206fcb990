"""How fast rows are checked and compared with each other, and how much memory that takes.

Peer: reading every line with ``json.loads`` and keeping a hash of its text, which finds exact copies and nothing
else: the least that a look for duplicates can cost. ``data check`` also looks at every text for litter, private
data and broken characters, and finds near duplicates and contradictions. The bar is 100,000 rows in 30 seconds and
500 MB.
"""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.data_prepare import write_rows
from benchmarks.harness import alternate, in_fork
from benchmarks.report import Comparison
from benchmarks.table import Size
from mozhu.engine.data.checks.run import run_check
from mozhu.specs.data import CheckSpec


def measure(work: Path, size: Size) -> list[Comparison]:
    source = work / "rows.jsonl"
    write_rows(source, size["rows"])

    def check() -> None:
        report = run_check(CheckSpec(dataset=str(source)))
        assert sum(report.rows.values()) == size["rows"], "every generated row is read"

    measured = alternate(
        {"data check": in_fork(check), "json.loads + hashes": in_fork(lambda: _hashes(source))}
    )
    return [
        Comparison(
            "rows are checked and compared with each other",
            measured,
            size["rows"],
            "rows",
            against=[("data check", "json.loads + hashes")],
            facts={"input_mb": round(source.stat().st_size / 1e6, 2)},
        )
    ]


def _hashes(source: Path) -> None:
    seen = set()
    with open(source, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            seen.add(hash((row["instruction"], row["output"])))
    assert seen
