"""``data check``: one pass over the rows of a data set, all its parts, and the files it must not overlap with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozhu.engine.data.checks.findings import Hit, RowFinding, around, fields_inside
from mozhu.engine.data.checks.languages import find_mixed_scripts, find_other_language
from mozhu.engine.data.checks.litter import find_litter
from mozhu.engine.data.checks.pii import find_private
from mozhu.engine.data.checks.repeats import find_repeats
from mozhu.engine.data.checks.words import WordList, read_words
from mozhu.engine.data.dataset import Reading, RowStream
from mozhu.engine.data.duplicates import Duplicates, Pair
from mozhu.engine.data.places import find_place
from mozhu.engine.data.rows import RawRow, excerpt
from mozhu.engine.data.split import PARTS
from mozhu.kernel.errors import MissingFile, UnknownDataset
from mozhu.kernel.files import write_jsonl
from mozhu.specs.data import CheckSpec
from mozhu.specs.records.snapshot import RejectedRow

LEVELS = ("error", "warning", "info")
_AGAINST = "against"


@dataclass
class CheckReport:
    """``findings`` in the order of the rows, duplicates last; ``rows`` counts those of each part."""

    dataset: str
    rows: dict[str, int] = field(default_factory=dict)
    against: dict[str, int] = field(default_factory=dict)
    findings: list[RowFinding] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """How often each code was found, errors first, then the most frequent."""
        order = {finding.code: LEVELS.index(finding.level) for finding in self.findings}
        found = Counter(finding.code for finding in self.findings)
        return dict(sorted(found.items(), key=lambda item: (order[item[0]], -item[1], item[0])))

    @property
    def errors(self) -> int:
        return sum(finding.level == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset,
            "rows": self.rows,
            "against": self.against,
            "errors": self.errors,
            "counts": self.counts(),
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass(frozen=True)
class _Place:
    """Where a text that is looked at for duplicates stands."""

    row_id: str
    file: str
    line: int
    field: str
    part: str
    excerpt: str


def run_check(spec: CheckSpec) -> CheckReport:
    """Every finding in every row of every part of ``spec.dataset``; written to ``spec.report`` where named.

    Raises:
        What :func:`~mozhu.engine.data.dataset.load_rows` raises, except NoUsableRows: such rows are findings.
    """
    check = _Check(spec, read_words(spec.words))
    for ref in spec.against:  # first, so that every copy of a benchmark's row names the benchmark
        check.read_benchmark(ref)
    for part, stream in _streams(spec):
        check.read(part, stream)
    check.find_duplicates()
    if spec.report:
        write_jsonl(Path(spec.report), (finding.to_json() for finding in check.report.findings))
    return check.report


def _streams(spec: CheckSpec) -> Iterator[tuple[str, RowStream]]:
    """The rows of each part; of a data set without parts, all as ``train``."""
    reading = Reading(
        text_column=spec.text_column, format_type=spec.format_type, columns=spec.columns, stage=None
    )
    seen: set[Path] = set()
    for part in PARTS:
        try:
            place = find_place(spec.dataset, part)
        except (MissingFile, UnknownDataset):
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
        self.whole, self.questions = Duplicates(spec.similarity), Duplicates(spec.similarity)
        self.places: list[_Place] = []
        self.asked: list[_Place] = []

    def read(self, part: str, stream: RowStream) -> None:
        rows = 0
        for found in stream.with_values():
            rows += 1
            if isinstance(found, RejectedRow):
                self.report.findings.append(_unreadable(found, part))
                continue
            raw, row, _, shape = found
            for name, hit in self._hits(row, shape):
                where = self._field(raw, _content(row, name), name, hit)
                self.report.findings.append(_finding(hit, row["row_id"], raw, where, part))
            self._remember(_own_field(raw, row), raw, row, part, questions=bool(self.spec.against))
        self.report.rows[part] = rows

    def read_benchmark(self, ref: str) -> None:
        place = find_place(ref, "test")
        rows = 0
        for found in RowStream(place, Reading(stage=None)).with_values():
            if not isinstance(found, RejectedRow):
                rows += 1
                self._remember("", found[0], found[1], f"{_AGAINST}:{ref}", questions=True)
        self.report.against[ref] = rows

    def find_duplicates(self) -> None:
        reported: set[tuple[str, int, str]] = set()
        for pairs, places in ((self.whole.pairs(), self.places), (self.questions.pairs(), self.asked)):
            for pair in pairs:
                first, second = places[pair.first], places[pair.second]
                only_benchmarks = places is self.asked
                finding = _duplicate(pair, first, second, only_benchmarks)
                key = (finding.file, finding.line, finding.code) if finding else None
                if finding and key and key not in reported:
                    reported.add(key)
                    self.report.findings.append(finding)

    def _field(self, raw: RawRow, content: str, name: str, hit: Hit) -> str:
        """The user's own field: where several became one text, the first in which the same is found alone."""
        inside = fields_inside(raw, content)
        for path, leaf in inside[1:] and inside:
            if any(found.code == hit.code for found in _text_hits(leaf, self.words)):
                return path
        return inside[0][0] if inside else name

    def _hits(self, row: dict[str, Any], shape: str) -> Iterator[tuple[str, Hit]]:
        texts = list(_texts(row))
        for name, content, _ in texts:
            for hit in _text_hits(content, self.words):
                yield name, hit
        answers = [(name, content) for name, content, role in texts if role in {"assistant", "text"}]
        for name, content in answers:
            yield from ((name, hit) for hit in self._lengths(content, shape))
        asked = [content for _, content, role in texts if role == "user"]
        if asked and answers and shape != "classification":
            name, content = answers[-1]
            if other := find_other_language(asked[-1], content):
                yield name, other

    def _lengths(self, content: str, shape: str) -> Iterator[Hit]:
        size = len(content.strip())
        if size < self.spec.min_chars and shape != "classification":
            yield Hit("DATA-301", "info", excerpt(content), {"chars": size, "limit": self.spec.min_chars})
        if size > self.spec.max_chars:
            yield Hit("DATA-302", "warning", excerpt(content), {"chars": size, "limit": self.spec.max_chars})

    def _remember(self, name: str, raw: RawRow, row: dict[str, Any], part: str, *, questions: bool) -> None:
        texts = [(name, content) for name, content, role in _texts(row) if role != "system"]
        whole = "\n".join(content for _, content in texts)
        self.whole.add(whole)
        place = _Place(row["row_id"], raw.file, raw.line, name, part, excerpt(whole))
        self.places.append(place)
        if questions and texts:
            self.questions.add(texts[0][1])
            self.asked.append(place)


def _text_hits(content: str, words: WordList) -> Iterator[Hit]:
    yield from find_litter(content)
    yield from find_private(content)
    for other in (find_mixed_scripts(content), find_repeats(content)):
        if other:
            yield other
    if word := words.first_in(content):
        place = content.casefold().find(word.casefold())
        yield Hit("DATA-316", "warning", around(content, place, place + len(word)), {"word": word})


def _texts(row: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, text, role) of everything in a prepared row that a model would read or write."""
    if isinstance(row.get("text"), str) and "messages" not in row:
        yield "text", row["text"], "text"
    for number, message in enumerate(row.get("messages") or ()):
        if message.get("content") and isinstance(message["content"], str):
            yield f"messages[{number}].content", message["content"], str(message.get("role"))
    for name in ("chosen", "rejected"):
        value = row.get(name)
        items = value if isinstance(value, list) else [{"content": value}]
        for number, message in enumerate(items):
            if isinstance(message, dict) and isinstance(message.get("content"), str):
                yield f"{name}[{number}].content", message["content"], "assistant"


def _own_field(raw: RawRow, row: dict[str, Any]) -> str:
    """The user's field that holds the question or the text."""
    for name, content, role in _texts(row):
        if role != "system":
            inside = fields_inside(raw, content)
            return inside[0][0] if inside else name
    return "text"


def _content(row: dict[str, Any], name: str) -> str:
    return next((content for known, content, _ in _texts(row) if known == name), "")


def _finding(hit: Hit, row_id: str, raw: RawRow, where: str, part: str) -> RowFinding:
    return RowFinding(hit.code, hit.level, row_id, raw.file, raw.line, where, hit.excerpt, part, hit.params)


def _unreadable(row: RejectedRow, part: str) -> RowFinding:
    return RowFinding(row.code, "error", "", row.file, row.line, row.field, row.excerpt, part, row.params)


def _duplicate(pair: Pair, first: _Place, second: _Place, question: bool) -> RowFinding | None:
    """The finding for a pair: at the row of the data set, naming the row it repeats."""
    benchmark = [place.part.startswith(_AGAINST) for place in (first, second)]
    if all(benchmark) or (question and not any(benchmark)):
        return None
    here, other = (first, second) if benchmark[1] else (second, first)
    code, level = "DATA-321" if pair.exact else "DATA-322", "warning"
    if any(benchmark):
        code, level = "DATA-324", "error"
    elif here.part != other.part:
        code, level = "DATA-323", "error"
    params = {"other": f"{other.file}:{other.line}", "similarity": f"{pair.similarity:.0%}"}
    params["part"] = other.part.removeprefix(f"{_AGAINST}:")
    return RowFinding(
        code, level, here.row_id, here.file, here.line, here.field, here.excerpt, here.part, params
    )
