"""A large file is converted and prepared in memory that does not grow with it."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import TextIO, cast

import pytest

ROOT = Path(__file__).resolve().parents[2]
_MB = 1 << 20
_MEASURED = """
import sys
from pathlib import Path
from mozhu.engine.data.convert import convert_to_text_format, run_convert
from mozhu.engine.data.prepare import run_prepare
from mozhu.specs.data import DataConvertSpec, PrepareSpec
what, source = sys.argv[1:]
emit = lambda kind, **fields: None
if what == "prepare":
    run_prepare(PrepareSpec(input=source, output_dir="out"), Path(), emit)
elif what == "convert":
    run_convert(DataConvertSpec(input=source, to="messages", output="out.jsonl"), Path(), emit)
else:
    convert_to_text_format(source, "out.json")
print(int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM:")).split()[1]) * 1024)
"""


def write_rows(path: Path, size: int) -> Path:
    """About ``size`` bytes of alpaca rows, one JSON array or JSON lines, by the file's name."""
    answer = "春夏秋冬，" * 60
    lines = ".jsonl" in path.name
    with open_packed(path) as file:
        file.write("" if lines else "[")
        written = number = 0
        while written < size:
            row = {"instruction": f"第 {number} 个问题", "input": "", "output": answer}
            line = json.dumps(row, ensure_ascii=False)
            file.write(line + "\n" if lines else (",\n" if number else "") + line)
            written += 2 * len(answer) + 100
            number += 1
        file.write("" if lines else "]")
    return path


def open_packed(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return cast(TextIO, gzip.open(path, "wt", 1, encoding="utf-8"))
    return open(path, "w", encoding="utf-8")


def peak(folder: Path, what: str, source: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, what, str(source)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "name"),
    [
        ("prepare", "r.jsonl"),
        ("prepare", "r.json"),
        ("convert", "r.json"),
        ("convert", "r.jsonl.gz"),
        ("seed", "r.json"),
    ],
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, what: str, name: str) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    few = peak(small, what, write_rows(small / name, 10 * _MB))
    many = peak(large, what, write_rows(large / name, 200 * _MB))
    print(f"{what} {name}: {few / _MB:.0f} MB for 10 MB, {many / _MB:.0f} MB for 200 MB")
    assert many - few < 40 * _MB
