"""What fixers would change: how many rows each, and some texts before and after; nothing is written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mozhu.engine.data.dataset import Reading, open_rows
from mozhu.engine.data.fixers.base import RowFixer, TextFixer
from mozhu.engine.data.fixers.mend import check_left, fix_texts, texts_of
from mozhu.engine.data.fixers.table import chosen
from mozhu.engine.data.rows import RawRow, RowProblem
from mozhu.specs.data import FixSpec
from mozhu.specs.records.snapshot import RejectedRow


@dataclass(frozen=True)
class FixExample:
    """One text that a fixer would change, or a whole row that it makes usable (``field`` is empty)."""

    file: str
    line: int
    field: str
    before: str
    after: str


@dataclass
class FixerPreview:
    """Rows and texts that a fixer would change, rows it makes usable, and rows of which it would leave nothing.

    Fixers of texts are looked at alone, those of rows together.
    """

    name: str
    version: int
    rows: int = 0
    texts: int = 0
    made_usable: int = 0
    emptied: int = 0
    examples: list[FixExample] = field(default_factory=list)


@dataclass
class FixReport:
    """``rows`` can be used as they are, ``rejected`` cannot; ``fixers`` in the order in which they would be applied."""

    dataset: str
    fixers: list[FixerPreview]
    rows: int = 0
    rejected: int = 0

    @property
    def useful(self) -> list[str]:
        """The fixers that would change something."""
        return [fixer.name for fixer in self.fixers if fixer.rows]

    def to_json(self) -> dict[str, Any]:
        fixers = [
            {**vars(fixer), "examples": [vars(example) for example in fixer.examples]}
            for fixer in self.fixers
        ]
        return {"dataset": self.dataset, "rows": self.rows, "rejected": self.rejected, "fixers": fixers}


def run_fix(spec: FixSpec) -> FixReport:
    """What each fixer alone would change in the rows that ``mozhu data prepare --input`` reads.

    Without ``spec.fix`` these are all but the two scripts, of which one has to be chosen.

    Raises:
        UnknownFixers: DATA-041. OpposedFixers: DATA-042. MissingExtra: ENV-001.
        What :func:`~mozhu.engine.data.dataset.load_rows` raises, except NoUsableRows.
    """
    fixers = chosen(spec.fix or ("all",))
    previews = {fixer.name: FixerPreview(fixer.name, fixer.version) for fixer in fixers}
    report = FixReport(spec.dataset, list(previews.values()))
    for found in open_rows(spec.dataset, _reading(spec)).with_values():
        if isinstance(found, RejectedRow):
            report.rejected += 1
            continue
        report.rows += 1
        for fixer in fixers:
            if isinstance(fixer, TextFixer):
                _try(fixer, found[0], found[1], previews[fixer.name], spec.rows)
    menders = tuple(fixer.name for fixer in fixers if isinstance(fixer, RowFixer))
    if menders and report.rejected:
        _try_rejected(menders, spec, previews)
    return report


def _reading(spec: FixSpec, fix: tuple[str, ...] = ()) -> Reading:
    return Reading(
        text_column=spec.text_column,
        format_type=spec.format_type,
        input_format=spec.input_format,
        columns=spec.columns,
        fix=fix,
    )


def _try(fixer: TextFixer, raw: RawRow, row: dict[str, Any], preview: FixerPreview, most: int) -> None:
    after, changed = fix_texts(row, fixer)
    if not changed:
        return
    preview.rows += 1
    preview.texts += changed
    try:
        check_left(after, fixer.name)
    except RowProblem:
        preview.emptied += 1
    if len(preview.examples) < most:
        preview.examples.append(_example(fixer, raw, row, after))


def _example(fixer: TextFixer, raw: RawRow, row: dict[str, Any], after: dict[str, Any]) -> FixExample:
    """The first text of the row that changes, as it may be shown."""
    mended = dict(_named(after))
    name, before = next(
        ((name, text) for name, text in _named(row) if mended.get(name, "") != text), ("", "")
    )
    if not before:  # what changed stands in JSON
        messages, mended[""] = (json.dumps(one["messages"], ensure_ascii=False) for one in (row, after))
        before = messages
    return FixExample(raw.file, raw.line, name, fixer.shown(before), fixer.shown(mended.get(name, "")))


def _named(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, text) for name, text, _ in texts_of(row)]


def _try_rejected(names: tuple[str, ...], spec: FixSpec, previews: dict[str, FixerPreview]) -> None:
    """Read all rows with these fixers together, for some rows need several: what they change could not be used."""
    stream = open_rows(spec.dataset, _reading(spec, names))
    for found in stream.with_values():
        if isinstance(found, RejectedRow):
            continue
        for name in names:
            preview, count = previews[name], stream.fixes[name]
            if count.rows == preview.rows:
                continue
            preview.rows = preview.made_usable = count.rows
            preview.texts = count.changes
            if len(preview.examples) < spec.rows:
                raw, value = found[0], found[2]
                before, after = (
                    json.dumps(one, ensure_ascii=False, default=str) for one in (raw.value, value)
                )
                preview.examples.append(FixExample(raw.file, raw.line, "", before, after))
