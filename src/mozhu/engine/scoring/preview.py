"""``data preview``: rows of a data set as a model sees them, for the terminal and as a page."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from mozhu.engine.data.dataset import Reading, load_rows
from mozhu.engine.data.parts import part_streams
from mozhu.engine.data.preview import Preview, preview_row
from mozhu.engine.scoring.parity import open_voice
from mozhu.engine.scoring.report.preview import write_preview
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.token_files import read_template
from mozhu.kernel.errors import UnknownRow
from mozhu.specs.data import PreviewSpec
from mozhu.specs.records.snapshot import RejectedRow

_LONGEST_DEFAULT = 2048


def run_preview(spec: PreviewSpec) -> Preview:
    """The rows that ``spec`` names; with ``html`` also written as one self-contained page.

    Raises:
        UnknownRow: DATA-030. What find_model and load_rows raise.
    """
    voice = open_voice(spec.model)
    loaded = load_rows(spec.dataset, text_column=spec.text_column, system=spec.system)
    limit = _limit(voice.folder, spec.max_length)
    template = read_template(voice.folder)
    view = Preview(
        model=spec.model,
        dataset=spec.dataset,
        stage=spec.stage,
        train_on=spec.train_on,
        max_length=limit,
        template=_sha256(template) if template else "",
        policy=spec.over_length if spec.stage == "train" else "none",
    )
    for row in _chosen(loaded.rows, spec):
        view.rows.append(
            preview_row(
                row,
                voice.renderer,
                voice.tokenizer,
                stage=spec.stage,
                train_on=spec.train_on,
                max_length=limit,
                over_length=spec.over_length,
            )
        )
    if spec.html:
        write_preview(Path(spec.html), view)
    return view


def _chosen(rows: list[dict[str, Any]], spec: PreviewSpec) -> list[dict[str, Any]]:
    if spec.row is None:
        return rows[: spec.rows]
    named = [row for row in rows if row["row_id"] == spec.row]
    if not named and spec.row.isdigit() and 0 < int(spec.row) <= len(rows):
        named = [rows[int(spec.row) - 1]]
    named = named or _in_other_parts(spec)
    if not named:
        raise UnknownRow(row=spec.row, dataset=spec.dataset, count=len(rows), first=rows[0]["row_id"])
    return named


def _in_other_parts(spec: PreviewSpec) -> list[dict[str, Any]]:
    """The row of the id ``spec.row``, in whatever part of the data set it lies."""
    for _, stream in part_streams(spec.dataset, Reading(spec.text_column, spec.system)):
        for row in stream:
            if not isinstance(row, RejectedRow) and row["row_id"] == spec.row:
                return [row]
    return []


def _limit(folder: Path, asked: int | None) -> int:
    """Most tokens of a row, as in training: what is asked for, else the model's own limit, at most 2,048."""
    limit = ModelFolder.open(folder).max_length or _LONGEST_DEFAULT
    return min(asked, limit) if asked else min(limit, _LONGEST_DEFAULT)


def _sha256(content: str) -> str:
    return f"sha256:{hashlib.sha256(content.encode('utf-8')).hexdigest()}"
