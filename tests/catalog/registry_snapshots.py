"""Small real snapshots, made by the verb that makes them for everybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mozhu.engine.data.prepare import run_prepare
from mozhu.specs.data import PrepareSpec


def write_raw(path: Path, rows: int = 20, seed: int = 0) -> Path:
    """Questions and answers, the last of them without an answer."""
    asked = [
        {
            "instruction": f"第 {number} 个问题（{seed}）：怎么预约挂号？",
            "output": f"打电话 {seed * 1000 + number}，说明科室。",
        }
        for number in range(rows)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*asked, {"instruction": "没有回答"}], ensure_ascii=False), encoding="utf-8")
    return path


def write_snapshot(
    folder: Path, rows: int = 20, seed: int = 0, name: str = "medical_qa", **fields: Any
) -> Path:
    """A prepared snapshot in ``folder``; the raw file lies beside it, always under the same name."""
    raw = write_raw(folder.parent / f"{folder.name}-raw" / "raw.json", rows, seed)
    return prepare(raw, folder, name, **fields)


def prepare(raw: Path, folder: Path, name: str, **fields: Any) -> Path:
    told = {"max_rejected_share": 0.5, **fields}
    spec = PrepareSpec(input=str(raw), output_dir=str(folder), output_name=name, **told)
    run_prepare(spec, folder.parent / f"{folder.name}-run", lambda kind, **facts: None)
    return folder
