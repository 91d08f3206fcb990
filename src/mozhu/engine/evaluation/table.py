"""The row table: one line a test row, for people (CSV) and for programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.engine.evaluation.score import Scored
from mozhu.engine.scoring.examples import question_of
from mozhu.kernel.files import write_bytes

_EMPTY = ("row_id", "prompt", "reference", "answer", "base_answer")
# A cell that begins so would run as a formula when the table is opened in a spreadsheet.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def result_rows(rows: Sequence[dict[str, Any]], tuned: Scored, base: Scored | None) -> list[dict[str, Any]]:
    """One dictionary a row: texts, whether the answer ended by itself, and every metric of both models.

    Rows without a reference have ``None`` where only an answer could be scored.
    """
    columns = _columns("", tuned) | (_columns("base_", base) if base else {})
    return [
        _texts(number, row, tuned, base) | {name: values.get(number) for name, values in columns.items()}
        for number, row in enumerate(rows)
    ]


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``rows`` as CSV (RFC 4180) in one atomic step.

    UTF-8 with a byte order mark: without it Excel reads Chinese as another encoding; Python reads it with
    ``utf-8-sig``, pandas does so by itself. A text that a spreadsheet would run gets an apostrophe.
    """
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, fieldnames=list(rows[0]) if rows else list(_EMPTY), lineterminator="\r\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    write_bytes(path, out.getvalue().encode("utf-8-sig"))


def _columns(prefix: str, scored: Scored) -> dict[str, dict[int, float]]:
    """The metrics by column name; whether an answer ended by itself has a column of its own."""
    return {f"{prefix}{name}": scored.column(name) for name in scored.metrics if name != "stop_rate"}


def _texts(number: int, row: dict[str, Any], tuned: Scored, base: Scored | None) -> dict[str, Any]:
    ask, answer = tuned.asks.get(number), tuned.answers.get(number)
    beside = base.answers.get(number) if base else None
    return {
        "row_id": row.get("row_id", str(number + 1)),
        "prompt": ask.question if ask else question_of(row),
        "reference": ask.reference if ask else None,
        "answer": answer.text if answer else None,
        "base_answer": beside.text if beside else None,
        "stopped": answer.stopped if answer else None,
        "base_stopped": beside.stopped if beside else None,
    }


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
