"""How fast raw rows become a snapshot, and how much memory that takes.

Peer: reading every line with ``json.loads`` and writing it with ``json.dumps`` of the same standard library, one
line at a time: the physical limit for rows that pass through Python objects at all. ``data prepare`` does that
too, and recognises, checks, converts, splits and hashes; it writes about twice the bytes (``messages`` + ``text``).
"""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

from benchmarks.harness import alternate, in_fork, quiet
from benchmarks.report import Comparison
from benchmarks.table import Size
from mozhu.engine.data.prepare import run_prepare
from mozhu.specs.data import PrepareSpec

_CHINESE = "血压长期高于正常值时需要管理饮食规律作息并按医生要求复查模型训练评估导出部署数据清洗"
_ENGLISH = ("the model you serve is provably the model", "you trained", "and every row", "keeps its source")


def measure(work: Path, size: Size) -> list[Comparison]:
    source, target = work / "rows.jsonl", work / "snapshot"
    write_rows(source, size["rows"])

    def prepare() -> None:
        spec = PrepareSpec(input=str(source), output_dir=str(target))
        outcome = run_prepare(spec, work, quiet)
        rows = [int(outcome.metrics[f"{part}_rows"].value) for part in ("train", "validation", "test")]
        assert sum(rows) == size["rows"], "every generated row is usable"

    def clean() -> None:
        shutil.rmtree(target, ignore_errors=True)

    peers = {
        "data prepare": in_fork(prepare, before=clean),
        "json.loads + json.dumps": in_fork(lambda: _through_json(source, work / "copy.jsonl")),
    }
    measured = alternate(peers)
    return [
        Comparison(
            "a JSONL file becomes a snapshot",
            measured,
            size["rows"],
            "rows",
            against=[("data prepare", "json.loads + json.dumps")],
            facts={"input_mb": round(source.stat().st_size / 1e6, 2)},
        )
    ]


def write_rows(path: Path, count: int) -> None:
    """``count`` different question-and-answer rows of about 630 bytes, half Chinese, half English."""
    chance = random.Random(0)
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            words = _words(chance, number, 8), _words(chance, number, 30)
            row = {"instruction": f"{number}: {words[0]}", "input": "", "output": words[1]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _words(chance: random.Random, number: int, count: int) -> str:
    if number % 2:
        return " ".join(chance.choices(_ENGLISH, k=count))
    return "".join(chance.choices(_CHINESE, k=3 * count)) + "。"


def _through_json(source: Path, target: Path) -> None:
    with open(source, encoding="utf-8") as old, open(target, "w", encoding="utf-8") as new:
        for line in old:
            new.write(json.dumps(json.loads(line), ensure_ascii=False) + "\n")
