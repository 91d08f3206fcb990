"""The planted row faults: one ``data check`` over the folder must find each at its place, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mozhu

ROWS = Path(__file__).parent / "rows"
# A clean file, a stage that does not learn from its rows: every row is a finding.
STAGES = (("text.jsonl", "sft"), ("pairs.jsonl", "sft"), ("kto.jsonl", "dpo"), ("lines.jsonl", "pt"))
Place = tuple[str, int, str, str]


@dataclass
class RowResult:
    """``lines``: (fault, its place, whether it was found there). ``extra``: findings where nothing was planted."""

    lines: list[tuple[str, Place, bool]] = field(default_factory=list)
    extra: list[Place] = field(default_factory=list)
    alarms: list[Place] = field(default_factory=list)
    clean_rows: int = 0

    @property
    def found(self) -> int:
        return sum(found for _, _, found in self.lines)

    @property
    def ok(self) -> bool:
        return self.found == len(self.lines) and not self.extra and not self.alarms


def check_rows(folder: Path = ROWS) -> RowResult:
    """One check over the faulty folder against the manifest, one over its clean twin."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    result = RowResult()
    left = Counter(_places(_check(folder, "faulty")))
    for fault in manifest:
        place = (fault["file"], fault["line"], fault["field"], fault["code"])
        result.lines.append((fault["what"], place, left[place] > 0))
        left[place] -= 1
    for name, stage in STAGES:
        path = folder / "clean" / name
        wrong = Counter(_places(mozhu.check(path, stage=stage, duplicates=False)))
        rows = len(path.read_text(encoding="utf-8").splitlines())
        told = sum(wrong[place] for place in wrong if place[3] == "DATA-317")
        what = f"rows of another kind given to {stage}"
        result.lines.append((what, (name, 1, f"{rows} rows", "DATA-317"), told == rows == wrong.total()))
    result.extra = [place for place, times in left.items() for _ in range(times)]
    clean = _check(folder, "clean")
    result.alarms, result.clean_rows = _places(clean), sum(clean.rows.values())
    return result


def _check(folder: Path, side: str) -> Any:
    words = [folder / name for name in ("refusals.txt", "insults.txt")]
    return mozhu.check(folder / side, words=words, against=[folder / "benchmark.jsonl"])


def _places(report: Any) -> list[Place]:
    return [(found.file, found.line, found.field, found.code) for found in report.findings]
