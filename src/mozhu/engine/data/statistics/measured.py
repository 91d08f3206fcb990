"""Rows in tokens: how long they are for a model, what is learned of them, what a cut-off would take."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from mozhu.engine.data.encoding import Encoded, EncodedExample, TrainOn, encode_rows
from mozhu.engine.data.statistics.facts import kind_of
from mozhu.engine.data.statistics.kept import Place
from mozhu.engine.data.statistics.lengths import Lengths

if TYPE_CHECKING:
    from mozhu.engine.weights.template import Renderer

# Cut-offs of which it is told what they keep.
LIMITS = tuple(2**power for power in range(6, 18))
NO_TEMPLATE, REFUSED, PICTURES, NOTHING_LEARNED = "MODEL-003", "DATA-122", "DATA-123", "DATA-121"


@dataclass(frozen=True)
class Voice:
    """What turns rows into a model's tokens; ``renderer`` is None for a model without a chat template."""

    tokenizer: Any
    renderer: Renderer | None
    max_length: int
    train_on: TrainOn = "all"


@dataclass
class Row:
    """A row on its way: ``tokens`` of its longest sequence, or why there is none (a code and a reason)."""

    place: Place
    shape: str
    row: dict[str, Any]
    sequences: list[tuple[str, list[EncodedExample]]] = field(default_factory=list)
    refused: tuple[str, str] | None = None

    @property
    def tokens(self) -> int | None:
        lengths = [len(example.ids) for _, examples in self.sequences for example in examples]
        return max(lengths, default=None) if not self.refused else None


@dataclass
class TokenCounts:
    """``kept`` are the lengths of the examples that a training would learn from, cut down to ``max_length``."""

    max_length: int
    all: Lengths = field(default_factory=Lengths)
    kept: Lengths = field(default_factory=Lengths)
    answers: Lengths = field(default_factory=Lengths)
    chosen: Lengths = field(default_factory=Lengths)
    rejected: Lengths = field(default_factory=Lengths)
    rows: int = 0
    rows_over: int = 0
    dropped: int = 0
    trained: int = 0
    trained_within: int = 0
    trained_kept: int = 0
    trained_under: Counter[int] = field(default_factory=Counter)
    learning_kept: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first_refused: dict[str, tuple[Place, str]] = field(default_factory=dict)

    def add(self, row: Row) -> None:
        if row.refused:
            code, reason = row.refused
            self.refused[code] += 1
            self.first_refused.setdefault(code, (row.place, reason))
            return
        self.rows += 1
        self.rows_over += (row.tokens or 0) > self.max_length
        learns = kind_of(row.row) != "classification"
        for side, examples in row.sequences:
            for example in examples:
                self._add(example, side, learns)

    def update(self, other: TokenCounts) -> None:
        for name in ("all", "kept", "answers", "chosen", "rejected", "trained_under", "refused"):
            getattr(self, name).update(getattr(other, name))
        for name in (
            "rows",
            "rows_over",
            "dropped",
            "trained",
            "trained_within",
            "trained_kept",
            "learning_kept",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.first_refused = {**other.first_refused, **self.first_refused}

    def _add(self, example: EncodedExample, side: str, learns: bool) -> None:
        length = len(example.ids)
        self.all.add(length)
        if not learns:
            self.kept.add(min(length, self.max_length))
            return
        trained = sum(end - start for start, end in example.spans)
        self.trained += trained
        self.trained_within += _below(example, self.max_length)
        self.answers.add(trained)
        if side:
            (self.chosen if side == "chosen" else self.rejected).add(trained)
        for limit in LIMITS:
            self.trained_under[limit] += trained if length <= limit else _below(example, limit)
        if not any(min(end, self.max_length) > max(start, 1) for start, end in example.spans):
            self.dropped += 1
            return
        self.kept.add(min(length, self.max_length))
        self.learning_kept += min(length, self.max_length)
        self.trained_kept += _below(example, self.max_length)


def measure(rows: Iterable[Row], voice: Voice) -> Iterator[Row]:
    """Each row with its sequences in tokens; a row that the model's template refuses says why.

    The rows may come in a slightly different order: those that are not encoded overtake those that wait.
    """
    source = iter(rows)
    first = list(islice(source, 1))
    alone = bool(first) and kind_of(first[0].row) in ("preference", "kto")
    waiting: deque[tuple[Row, str, bool]] = deque()
    ready: deque[Row] = deque()
    fed = _feed(chain(first, source), voice, waiting, ready)
    train_on: TrainOn = "last" if alone else voice.train_on
    for encoded in encode_rows(fed, voice.renderer, voice.tokenizer, train_on=train_on):
        row, side, is_last = waiting.popleft()
        _take(row, side, encoded)
        if is_last:
            yield row
        while ready:
            yield ready.popleft()
    yield from ready


def _feed(
    rows: Iterable[Row], voice: Voice, waiting: deque[tuple[Row, str, bool]], ready: deque[Row]
) -> Iterator[dict[str, Any]]:
    """The sequences of rows for the encoder; ``waiting`` remembers whose they are."""
    for row in rows:
        kind = kind_of(row.row)
        if row.row.get("images"):
            row.refused = (PICTURES, "")
        elif voice.renderer is None and kind not in ("text", "classification"):
            row.refused = (NO_TEMPLATE, "")
        if row.refused:
            ready.append(row)
            continue
        sequences = _sequences(row.row, kind)
        for number, (side, sequence) in enumerate(sequences, start=1):
            waiting.append((row, side, number == len(sequences)))
            yield sequence


def _sequences(row: dict[str, Any], kind: str) -> list[tuple[str, dict[str, Any]]]:
    """What is encoded of a row: two conversations of a preference, the bare text of a classification."""
    if kind == "preference":
        base: dict[str, Any] = {name: row[name] for name in ("row_id", "tools") if name in row}
        sides = ("chosen", "rejected")
        return [(side, {**base, "messages": [*row["messages"], *row[side]]}) for side in sides]
    if kind == "classification":
        content = "\n".join(str(turn.get("content") or "") for turn in row["messages"])
        return [("", {"row_id": row["row_id"], "text": content})]
    return [("", row)]


def _take(row: Row, side: str, encoded: Encoded) -> None:
    if encoded.error is not None:
        row.refused = (REFUSED, str(encoded.error.params.get("reason") or encoded.error.what))
    elif not encoded.examples:
        row.refused = row.refused or (NOTHING_LEARNED, "")
    row.sequences.append((side, encoded.examples))


def _below(example: EncodedExample, limit: int) -> int:
    """How many learned tokens stand before ``limit``."""
    return sum(max(0, min(end, limit) - start) for start, end in example.spans)
