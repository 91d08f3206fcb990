"""The committed corpus: every planted fault is found at its place, and nothing on the clean twins."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def corpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Modules of the corpus by their names; it lies beside the package, not in it."""
    monkeypatch.syspath_prepend(str(ROOT))
    before = set(sys.modules)
    yield lambda name: importlib.import_module(f"corpus.{name}")
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "corpus":
            del sys.modules[name]


def needs_extras() -> None:
    for name in ("pyarrow", "openpyxl"):
        pytest.importorskip(name)


def test_sixty_row_faults_and_more_are_located_in_one_pass_without_a_false_alarm(corpus: Any) -> None:
    needs_extras()
    result = corpus("rows").check_rows()
    assert [line for line in result.lines if not line[2]] == []
    assert len(result.lines) >= 60 and result.clean_rows >= 100
    assert result.extra == [] and result.alarms == []
    assert {place[3] for _, place, _ in result.lines} >= {
        f"DATA-{n}" for n in (*range(101, 115), *range(301, 321))
    }


def test_the_committed_files_are_those_that_the_definitions_make(corpus: Any, tmp_path: Path) -> None:
    """Workbooks hold the time they were made and Parquet the library's version: their rows are compared elsewhere."""
    needs_extras()
    build = corpus("build")
    made, kept = build.build(tmp_path / "rows"), build.ROWS
    assert json.loads((kept / "manifest.json").read_text(encoding="utf-8")) == made
    names = sorted(
        path.relative_to(tmp_path / "rows") for path in (tmp_path / "rows").rglob("*") if path.is_file()
    )
    assert names == sorted(path.relative_to(kept) for path in kept.rglob("*") if path.is_file())
    for name in names:
        if name.suffix not in {".xlsx", ".parquet", ".gz"}:
            assert (kept / name).read_bytes() == (tmp_path / "rows" / name).read_bytes(), name


def test_a_lost_fault_and_a_false_alarm_are_told(corpus: Any, tmp_path: Path) -> None:
    needs_extras()
    rows, build = corpus("rows"), corpus("build")
    folder = tmp_path / "rows"
    build.build(folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest[0]["line"] += 1
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with open(folder / "clean" / "copies.jsonl", "a", encoding="utf-8") as file:
        file.write('{"instruction": "多余的一行", "input": "", "output": ""}\n')
    result = rows.check_rows(folder)
    assert not result.ok and result.found == len(result.lines) - 1
    assert len(result.extra) == 1 and [place[3] for place in result.alarms] == ["DATA-105"]


def test_planted_copies_are_found_among_rows_that_only_look_alike(corpus: Any) -> None:
    result = corpus("copies").check_copies(rows=2000, planted=100)
    assert result.planted == 100 and result.recall >= 0.98 and result.precision >= 0.99
    assert len(result.kinds) == 7


@pytest.mark.slow
def test_the_command_runs_all_of_it_and_ends_well(
    corpus: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_extras()
    for name in ("torch", "xllamacpp", "gguf"):
        pytest.importorskip(name)
    assert corpus("run").main(["--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["rows"]["found"] == shown["rows"]["planted"] >= 60
    assert shown["templates"]["found"] == shown["templates"]["planted"] == 24
    assert shown["copies"]["recall"] >= 0.98 and shown["copies"]["precision"] >= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["check", "prepare", "convert"])
def test_a_large_file_streams_in_bounded_memory(corpus: Any, tmp_path: Path, verb: str) -> None:
    stream = corpus("stream")
    source = tmp_path / ("rows.json" if verb == "prepare" else "rows.jsonl")
    written = stream.write_rows(source, 100_000_000 if verb == "check" else 150_000_000)
    line = stream.measure(verb, source, written)
    print(line)
    assert line["ok"], line
    if verb != "check":
        assert line["peak_mb"] < 250, "less than the rows take as objects"
