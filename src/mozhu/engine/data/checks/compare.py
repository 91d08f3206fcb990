"""Findings about several rows: copies of each other, of a benchmark, of another part; rows that contradict."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mozhu.engine.data.checks.content import ANSWER, LABEL, Claim
from mozhu.engine.data.checks.findings import RowFinding
from mozhu.engine.data.duplicates import Duplicates, Pair
from mozhu.engine.data.spool import Spool

AGAINST = "against"
Reported = NDArray[np.uint8]


@dataclass(frozen=True)
class RowPlace:
    """Where a row that is compared stands; ``label`` is what it says of its content."""

    row_id: str
    file: str
    line: int
    field: str
    part: str
    excerpt: str
    label: str = ""


class Comparison:
    """Takes in rows one by one and says at the end which of them belong together; about 200 bytes of memory a row."""

    def __init__(self, similarity: float, *, inside: bool = True) -> None:
        self._inside = inside  # compare the data set's rows with each other, not with benchmarks alone
        self._whole, self._questions = Duplicates(similarity), Duplicates(similarity)
        self._places = Spool()
        self._asked = array("q")
        self._kinds, self._keys, self._verdicts = array("b"), array("q"), array("q")

    def add(self, place: RowPlace, whole: str, apart: str, question: str | None, claim: Claim | None) -> None:
        """Take in a row: its text, what else sets it apart, the question where benchmarks are looked for."""
        number = self._places.add(json.dumps(list(vars(place).values()), ensure_ascii=False))
        self._whole.add(whole, apart)
        self._kinds.append(claim.kind if claim else 0)
        self._keys.append(claim.key if claim else 0)
        self._verdicts.append(claim.verdict if claim else 0)
        if question is not None:
            self._questions.add(question)
            self._asked.append(number)

    def findings(self) -> Iterator[RowFinding]:
        """Duplicates (DATA-321 to 324), then rows that contradict (320) and other answers (319)."""
        if not len(self._places):
            return
        reported = np.zeros(len(self._places), dtype=np.uint8)
        yield from self._duplicates(self._whole.pairs(), range(len(self._places)), reported)
        yield from self._duplicates(self._questions.pairs(), self._asked, reported, question=True)
        if self._inside:
            yield from self._contradictions(LABEL, reported)
            yield from self._contradictions(ANSWER, reported)

    def _place(self, number: int) -> RowPlace:
        return RowPlace(*json.loads(self._places[number]))

    def _duplicates(
        self, pairs: Iterable[Pair], numbers: Sequence[int], reported: Reported, *, question: bool = False
    ) -> Iterator[RowFinding]:
        """A finding for each pair. A copy of a copy of a benchmark's row is one of the benchmark's too."""
        learned: dict[int, int] = {}
        for pair in pairs:
            first, second = numbers[pair.first], numbers[pair.second]
            first = learned.get(first, first)
            here, other = self._place(second), self._place(first)
            benchmark = other.part.startswith(AGAINST)
            if here.part.startswith(AGAINST) or not (benchmark or (self._inside and not question)):
                continue
            code, level = "DATA-321" if pair.exact else "DATA-322", "warning"
            if benchmark:
                code, level, learned[second] = "DATA-324", "error", first
            elif here.part != other.part:
                code, level = "DATA-323", "error"
            if reported[second] != int(code[-1]):
                reported[second] = int(code[-1])
                params = {"other": f"{other.file}:{other.line}", "similarity": f"{pair.similarity:.0%}"}
                yield _finding(code, level, here, {**params, "part": other.part.removeprefix(f"{AGAINST}:")})

    def _contradictions(self, kind: int, reported: Reported) -> Iterator[RowFinding]:
        """Rows that say another thing than the first row with the same content; copies are not told twice."""
        chosen = np.nonzero(np.frombuffer(self._kinds, dtype=np.int8) == kind)[0]
        keys = np.frombuffer(self._keys, dtype=np.int64)[chosen]
        verdicts = np.frombuffer(self._verdicts, dtype=np.int64)[chosen]
        order = np.argsort(keys, kind="stable")
        firsts = np.empty(len(chosen), dtype=np.int64)
        firsts[order] = order[np.searchsorted(keys[order], keys[order])]
        for at in np.nonzero(verdicts != verdicts[firsts])[0].tolist():
            number, first = int(chosen[at]), int(chosen[firsts[at]])
            if kind == ANSWER and reported[number]:
                continue
            here, other = self._place(number), self._place(first)
            params = {"other": f"{other.file}:{other.line}"}
            if kind == ANSWER:
                yield _finding("DATA-319", "info", here, params)
            else:
                labels = {"label": f"`{here.label}`", "other_label": f"`{other.label}`"}
                yield _finding("DATA-320", "warning", here, {**params, **labels})


def _finding(code: str, level: str, here: RowPlace, params: dict[str, str]) -> RowFinding:
    return RowFinding(
        code, level, here.row_id, here.file, here.line, here.field, here.excerpt, here.part, params
    )
