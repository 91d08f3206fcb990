"""Writes the corpus anew: ``python -m corpus.build``. The files it wrote are committed; the runner only reads them."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.plain import PLAIN
from corpus.planted.base import Fault, File, Raw
from corpus.planted.conversations import MESSAGES, PICTURES, SHAREGPT
from corpus.planted.judged import KTO, LABELS, PAIRS, RANKING
from corpus.planted.questions import ALPACA, LINES, PLAIN_TEXT, PRIVATE
from corpus.planted.several import BENCHMARK, BROKEN, COPIES, HELD_OUT, WORDS
from corpus.planted.tables import COLUMNS, SHEET, TABLE, TWICE

ROWS = Path(__file__).parent / "rows"
FILES = (
    *(ALPACA, LINES, PRIVATE, MESSAGES, SHAREGPT, TABLE, TWICE, SHEET, COLUMNS, PAIRS, KTO, RANKING, LABELS),
    *(PICTURES, PLAIN_TEXT, COPIES, HELD_OUT, BROKEN),
)
_DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
Entry = tuple[Any, Fault | None]


def build(folder: Path = ROWS) -> list[dict[str, Any]]:
    """The faulty files, their clean twins, the lists and the manifest lie in ``folder``; returns the manifest."""
    shutil.rmtree(folder, ignore_errors=True)
    plain = iter(PLAIN)
    manifest: list[dict[str, Any]] = []
    for file in FILES:
        between = [_shaped(file.shape, *next(plain)) for _ in range(file.plain)]
        faulty, clean = _entries(file, between, faulty=True), _entries(file, between, faulty=False)
        lines = _write(folder / "faulty" / file.name, file, faulty, cut=file.header == "cut")
        _write(folder / "clean" / file.name, file, clean, cut=False)
        for (_, fault), line in zip(faulty, lines):
            if fault:
                place = {"file": file.name, "line": line, "field": fault.field, "code": fault.code}
                manifest.append({"id": len(manifest) + 1, "what": fault.what, **place})
        for image in file.images:
            for side in ("faulty", "clean"):
                (folder / side / "images").mkdir(exist_ok=True)
                (folder / side / "images" / image).write_bytes(_DOT)
    for name, content in WORDS.items():
        (folder / name).write_text(content, encoding="utf-8")
    (folder / "benchmark.jsonl").write_text("".join(map(_line, BENCHMARK)), encoding="utf-8")
    body = ",\n".join(f"  {json.dumps(fault, ensure_ascii=False)}" for fault in manifest)
    (folder / "manifest.json").write_text(f"[\n{body}\n]\n", encoding="utf-8")
    return manifest


def _entries(file: File, between: list[Any], *, faulty: bool) -> list[Entry]:
    """The rows of a file in their order; plain ones stand between the faults."""
    entries: list[Entry] = [(fault.before, None) for fault in file.faults if fault.before is not None]
    step = max(1, len(file.faults) // max(1, len(between)))
    rest = list(between)
    last = file.header == "cut"
    for number, fault in enumerate(file.faults):
        if rest and (number % step == 0 or last) and file.header != "own":
            entries.append((rest.pop(0), None))
        if last:
            entries += [(row, None) for row in rest]
            rest = []
        if faulty:
            entries.append((fault.faulty, fault))
        elif fault.clean is not None:
            entries.append((fault.clean, None))
    return entries + [(row, None) for row in rest]


def _shaped(shape: str, question: str, answer: str) -> Any:
    """A plain row in the shape of its file."""
    asked = {"role": "user", "content": question}
    said = {"role": "assistant", "content": answer}
    return {
        "alpaca": {"instruction": question, "input": "", "output": answer},
        "messages": {"messages": [asked, said]},
        "sharegpt": {
            "conversations": [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
        },
        "prompt": {"question": question, "answer": answer},
        "preference": {"prompt": question, "chosen": answer, "rejected": "这个我不太清楚。"},
        "kto": {"prompt": question, "completion": answer, "label": True},
        "ranking": {"question": question, "answers": [answer, "这个我不太清楚。"], "scores": [0.9, 0.2]},
        "classification": {"text": answer, "label": 1},
        "text": {"text": answer},
    }[shape]


def _write(path: Path, file: File, entries: list[Entry], *, cut: bool) -> list[int]:
    """The file as its form writes it; returns the line on which each entry begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for row, _ in entries]
    if file.form in {"xlsx", "parquet"}:
        return (_write_sheet if file.form == "xlsx" else _write_parquet)(path, rows)
    if file.form == "json":
        pieces = [_bytes(row, file, indent=1) for row in rows]
        end = [b""] if cut else [b"\n]\n"]
        parts = [b"[\n", *(piece + b",\n" for piece in pieces[:-1]), pieces[-1], *end]
        starts = 1
    else:
        pieces = [_bytes(row, file) for row in rows]
        table = file.form in {"csv", "tsv"} and file.header != "own"
        header = [_cells(["question", "answer"], file)] if table else [b""]
        parts, starts = header + pieces, 1
    content = b"".join(parts)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    lines, line = [], 1
    for number, part in enumerate(parts):
        if starts <= number < starts + len(rows):
            lines.append(line)
        line += part.count(b"\n")
    return lines


def _bytes(row: Any, file: File, indent: int | None = None) -> bytes:
    if isinstance(row, Raw):
        return row.content if indent is not None or row.content.endswith(b"\n") else row.content + b"\n"
    if file.form in {"csv", "tsv"}:
        return _cells(list(row.values()), file)
    content = json.dumps(row, ensure_ascii=False, indent=indent)
    return content.encode() if indent is not None else content.encode() + b"\n"


def _cells(cells: list[str], file: File) -> bytes:
    out = io.StringIO()
    csv.writer(out, delimiter="\t" if file.form == "tsv" else ",", lineterminator="\n").writerow(cells)
    return out.getvalue().encode(file.encoding)


def _write_sheet(path: Path, rows: list[Any]) -> list[int]:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(["question", "answer"])
    for row in rows:
        sheet.append(list(row.values()))
    book.save(path)
    return list(range(2, len(rows) + 2))


def _write_parquet(path: Path, rows: list[Any]) -> list[int]:
    columns = {"prompt": [], "completion": []}  # type: dict[str, list[Any]]
    for row in rows:
        for name, value in zip(columns, row.values()):
            columns[name].append(value)
    pq.write_table(pa.table(columns), path)
    return list(range(1, len(rows) + 1))


def _line(row: Any) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _counted(manifest: list[dict[str, Any]]) -> Iterator[str]:
    yield f"{len(manifest)} faults in {len(FILES)} files, {len({fault['code'] for fault in manifest})} codes"


if __name__ == "__main__":
    print(*_counted(build()))
