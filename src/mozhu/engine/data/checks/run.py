"""``data check``: one pass over the rows of a data set, all its parts, and the files it must not overlap with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mozhu.engine.data.checks.compare import AGAINST, Comparison, RowPlace
from mozhu.engine.data.checks.content import apart_by, claim_of, texts_of
from mozhu.engine.data.checks.findings import Hit, RowFinding, around, fields_inside
from mozhu.engine.data.checks.languages import find_mixed_scripts, find_other_language, find_stray_script
from mozhu.engine.data.checks.litter import find_litter
from mozhu.engine.data.checks.numbers import LabelTypes, find_number_arguments
from mozhu.engine.data.checks.pii import find_private, hide_private
from mozhu.engine.data.checks.repeats import find_repeats
from mozhu.engine.data.checks.report import CheckReport
from mozhu.engine.data.checks.words import WordList, read_words
from mozhu.engine.data.dataset import Reading, RowStream
from mozhu.engine.data.places import find_place
from mozhu.engine.data.rows import RawRow, excerpt
from mozhu.engine.data.shapes import KIND_OF_SHAPE
from mozhu.engine.data.split import PARTS
from mozhu.engine.data.stages import KINDS_OF_STAGE
from mozhu.kernel.errors import MissingFile, UnknownDataset, UnknownSubset
from mozhu.kernel.texts import has_text, text
from mozhu.specs.data import CheckSpec
from mozhu.specs.records.snapshot import RejectedRow

__all__ = ["CheckReport", "run_check"]


def run_check(spec: CheckSpec) -> CheckReport:
    """Every finding in every row of every part of ``spec.dataset``; written to ``spec.report`` where named.

    A file that cannot be read, or not to its end, is a finding like a row that cannot be used.

    Raises:
        MissingFile: FILE-001. UnknownDataset: DATA-001. BadColumns: DATA-012. ChangedSnapshot: DATA-005.
    """
    check = _Check(spec, read_words(spec.words))
    with check.report.written_to(spec.report):
        for ref in spec.against:  # first, so that every copy of a benchmark's row names the benchmark
            check.read_benchmark(ref)
        for part, stream in _streams(spec):
            check.read(part, stream)
        for finding in check.comparison.findings():
            check.report.add(finding)
    return check.report


def _streams(spec: CheckSpec) -> Iterator[tuple[str, RowStream]]:
    """The rows of each part; of a data set without parts, all as ``train``."""
    reading = Reading(
        text_column=spec.text_column, format_type=spec.format_type, columns=spec.columns, go_on=True
    )
    seen: set[Path] = set()
    for part in PARTS:
        try:
            place = find_place(spec.dataset, part)
        except (MissingFile, UnknownDataset, UnknownSubset):
            if part == PARTS[0]:
                raise
            continue
        files = {file.path for file in place.files}
        if not files & seen:
            seen |= files
            yield part, RowStream(place, reading)


class _Check:
    def __init__(self, spec: CheckSpec, words: WordList) -> None:
        self.spec, self.words = spec, words
        self.report = CheckReport(spec.dataset)
        self.comparison = Comparison(spec.similarity, inside=spec.duplicates)

    def read(self, part: str, stream: RowStream) -> None:
        rows = 0
        labels: dict[str, LabelTypes] = {}
        for found in stream.with_values():
            rows += 1
            if isinstance(found, RejectedRow):
                self.report.add(_unreadable(found, part))
                continue
            raw, row, value, shape = found
            private = False
            for name, hit in self._hits(row, shape):
                private = private or hit.code in _PRIVATE
                where = self._field(raw, _content(row, name), name, hit)
                self.report.add(_finding(hit, row["row_id"], raw, where, part))
            types = labels.setdefault(raw.file, LabelTypes())
            for (row_id, its_raw), name, hit in types.look((row["row_id"], raw), value, shape):
                self.report.add(_finding(hit, row_id, its_raw, name, part))
            if self.spec.duplicates or self.spec.against:
                self._remember(raw, row, part, private=private)
        self.report.rows[part] = rows

    def read_benchmark(self, ref: str) -> None:
        place = find_place(ref, "test")
        rows = 0
        for found in RowStream(place, Reading()).with_values():
            if not isinstance(found, RejectedRow):
                rows += 1
                self._remember(found[0], found[1], f"{AGAINST}:{ref}", private=True)
        self.report.against[ref] = rows

    def _field(self, raw: RawRow, content: str, name: str, hit: Hit) -> str:
        """The user's own field: where several became one text, the first in which the same is found alone."""
        inside = fields_inside(raw, content) if content else []
        for path, leaf in inside[1:] and inside:
            if any(found.code == hit.code for found in _text_hits(leaf, self.words)):
                return path
        return inside[0][0] if inside else name

    def _hits(self, row: dict[str, Any], shape: str) -> Iterator[tuple[str, Hit]]:
        texts = list(texts_of(row))
        if wrong := self._wrong_stage(shape, texts):
            yield wrong
        for name, content, _ in texts:
            for hit in _text_hits(content, self.words):
                yield name, hit
        yield from find_number_arguments(row)
        answers = [(name, content) for name, content, role in texts if role in {"assistant", "text"}]
        for name, content in answers:
            yield from ((name, hit) for hit in self._lengths(content, shape))
        asked = [content for _, content, role in texts if role == "user"]
        if asked and answers and shape != "classification":
            name, content = answers[-1]
            if other := find_other_language(asked[-1], content):
                yield name, other
        everything = "\n".join(content for _, content, _ in texts)
        for name, content, _ in texts:
            if stray := find_stray_script(content, everything):
                yield name, stray

    def _wrong_stage(self, shape: str, texts: list[tuple[str, str, str]]) -> tuple[str, Hit] | None:
        """DATA-317 for a row that the stage does not learn from, or learns whole though it has no answer."""
        stage, kind = self.spec.stage, KIND_OF_SHAPE[shape]
        if stage is None:
            return None
        learns = kind in KINDS_OF_STAGE.get(stage, (kind,))
        if learns and not (stage == "sft" and kind == "text"):
            return None
        wanted = f"data.stage.{stage}.wanted"
        params = {
            "kind": text(f"data.kind.{kind}"),
            "stage": stage,
            "learns": text("data.check.learns_whole" if learns else "data.check.learns_not"),
            "wanted": text(wanted) if has_text(wanted) else stage,
        }
        name, content = (texts[0][0], texts[0][1]) if texts else ("", "")
        shown = excerpt(hide_private(content))
        return name, Hit("DATA-317", "warning" if learns else "error", shown, params)

    def _lengths(self, content: str, shape: str) -> Iterator[Hit]:
        size = len(content.strip())
        if size < self.spec.min_chars and shape != "classification":
            yield Hit("DATA-301", "info", excerpt(content), {"chars": size, "limit": self.spec.min_chars})
        if size > self.spec.max_chars:
            shown = excerpt(hide_private(content))
            yield Hit("DATA-302", "warning", shown, {"chars": size, "limit": self.spec.max_chars})

    def _remember(self, raw: RawRow, row: dict[str, Any], part: str, *, private: bool) -> None:
        texts = [(name, content) for name, content, role in texts_of(row) if role != "system"]
        whole = "\n".join(content for _, content in texts)
        shown = excerpt(hide_private(whole) if private else whole)
        benchmark = part.startswith(AGAINST)
        claim = None if benchmark else claim_of(row)
        label = excerpt(hide_private(claim.shown))[:40] if claim else ""
        name = "" if benchmark else _own_field(raw, row)
        place = RowPlace(row["row_id"], raw.file, raw.line, name, part, shown, label)
        question = texts[0][1] if texts and self.spec.against else None
        self.comparison.add(place, whole, apart_by(row), question, claim)


_PRIVATE = {"DATA-311", "DATA-312", "DATA-313", "DATA-314", "DATA-315"}


def _text_hits(content: str, words: WordList) -> Iterator[Hit]:
    """Everything in one text; private data is masked before anything else is shown of it."""
    private = list(find_private(content))
    yield from private
    shown = hide_private(content) if private else content
    yield from find_litter(shown)
    for other in (find_mixed_scripts(shown), find_repeats(shown)):
        if other:
            yield other
    if word := words.first_in(content):
        place = content.casefold().find(word.casefold())
        yield Hit("DATA-316", "warning", around(shown, place, place + len(word)), {"word": word})


def _own_field(raw: RawRow, row: dict[str, Any]) -> str:
    """The user's field that holds the question or the text."""
    for name, content, role in texts_of(row):
        if role != "system":
            inside = fields_inside(raw, content)
            return inside[0][0] if inside else name
    return "text"


def _content(row: dict[str, Any], name: str) -> str:
    return next((content for known, content, _ in texts_of(row) if known == name), "")


def _finding(hit: Hit, row_id: str, raw: RawRow, where: str, part: str) -> RowFinding:
    return RowFinding(hit.code, hit.level, row_id, raw.file, raw.line, where, hit.excerpt, part, hit.params)


def _unreadable(row: RejectedRow, part: str) -> RowFinding:
    shown = hide_private(row.excerpt)
    return RowFinding(row.code, "error", "", row.file, row.line, row.field, shown, part, row.params)
