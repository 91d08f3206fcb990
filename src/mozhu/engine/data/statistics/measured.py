"""Rows in tokens: how long they are for a model, what is learned of them, what a cut-off would take."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from mozhu.engine.data.cutting import Cutter, learned, row_parts
from mozhu.engine.data.encoding import Encoded, EncodedExample, TrainOn, encode_rows
from mozhu.engine.data.statistics.facts import kind_of
from mozhu.engine.data.statistics.kept import Place
from mozhu.engine.data.statistics.lengths import Lengths
from mozhu.kernel.errors import RefusedConversation, TemplateRewritesTurns
from mozhu.specs.data import OverLength

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
    over_length: OverLength = "right"


@dataclass
class Sequence:
    """One encoded sequence of a row (two of a preference, by ``side``) and for each example what is kept of it."""

    side: str
    row: dict[str, Any]
    examples: list[EncodedExample]
    kept: list[list[EncodedExample]] = field(default_factory=list)


@dataclass
class Row:
    """A row on its way: ``tokens`` of its longest sequence, or why there is none (a code and a reason)."""

    place: Place
    shape: str
    row: dict[str, Any]
    sequences: list[Sequence] = field(default_factory=list)
    refused: tuple[str, str] | None = None

    @property
    def tokens(self) -> int | None:
        lengths = [len(example.ids) for one in self.sequences for example in one.examples]
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
    lost: int = 0
    trained_lost: int = 0
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
        for sequence in row.sequences:
            for example, kept in zip(sequence.examples, sequence.kept, strict=True):
                self._add(example, sequence.side, learns)
                self._keep(example, kept, learns)

    def update(self, other: TokenCounts) -> None:
        for one in fields(self):
            mine, more = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, (Lengths, Counter)):
                mine.update(more)
            elif isinstance(mine, int) and one.name != "max_length":
                setattr(self, one.name, mine + more)
        self.first_refused = {**other.first_refused, **self.first_refused}

    def _add(self, example: EncodedExample, side: str, learns: bool) -> None:
        length = len(example.ids)
        self.all.add(length)
        if not learns:
            return
        trained = _trained(example)
        self.trained += trained
        self.trained_within += _below(example, self.max_length)
        self.answers.add(trained)
        if side:
            (self.chosen if side == "chosen" else self.rejected).add(trained)
        for limit in LIMITS:
            self.trained_under[limit] += trained if length <= limit else _below(example, limit)

    def _keep(self, example: EncodedExample, kept: list[EncodedExample], learns: bool) -> None:
        """What training gets of ``example``; parts in which nothing is learned are not used."""
        self.lost += max(0, len(example.ids) - sum(len(part.ids) for part in kept))
        if not learns:
            for part in kept:
                self.kept.add(len(part.ids))
            return
        self.trained_lost += max(0, _trained(example) - sum(map(_trained, kept)))
        used = [part for part in kept if learned(part)]
        self.dropped += not used
        for part in used:
            self.kept.add(len(part.ids))
            self.learning_kept += len(part.ids)
            self.trained_kept += _trained(part)


def measure(rows: Iterable[Row], voice: Voice) -> Iterator[Row]:
    """Each row with its sequences in tokens; a row that the model's template refuses says why.

    The rows may come in a slightly different order: those that are not encoded overtake those that wait.
    """
    source = iter(rows)
    first = list(islice(source, 1))
    alone = bool(first) and kind_of(first[0].row) in ("preference", "kto")
    waiting: deque[tuple[Row, Sequence, bool]] = deque()
    ready: deque[Row] = deque()
    fed = _feed(chain(first, source), voice, waiting, ready)
    train_on: TrainOn = "last" if alone else voice.train_on
    bos = getattr(voice.tokenizer, "bos_token_id", None)
    cutter = Cutter(voice.over_length, voice.max_length, voice.renderer, bos=bos)
    for encoded in encode_rows(fed, voice.renderer, voice.tokenizer, train_on=train_on):
        row, sequence, is_last = waiting.popleft()
        _take(row, sequence, encoded)
        if is_last:
            _fit(row, cutter, last=train_on == "last")
            yield row
        while ready:
            yield ready.popleft()
    yield from ready


def _feed(
    rows: Iterable[Row], voice: Voice, waiting: deque[tuple[Row, Sequence, bool]], ready: deque[Row]
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
        for number, (side, content) in enumerate(sequences, start=1):
            waiting.append((row, Sequence(side, content, []), number == len(sequences)))
            yield content


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


def _take(row: Row, sequence: Sequence, encoded: Encoded) -> None:
    sequence.examples = encoded.examples
    row.sequences.append(sequence)
    if encoded.error is not None:
        row.refused = (REFUSED, _reason(encoded.error))
    elif not encoded.examples:
        row.refused = row.refused or (NOTHING_LEARNED, "")


def _fit(row: Row, cutter: Cutter, *, last: bool) -> None:
    """Each example as the sequences within the limit that training makes of it; a rejected row is kept nowhere."""
    if row.refused:
        return
    rejected = cutter.policy == "reject" and (row.tokens or 0) > cutter.limit
    try:
        for one in row.sequences:
            parts = row_parts(one.row, one.examples, last=last)
            fitted = [[] if rejected else cutter.fit(part, one.row).parts for part in parts]
            one.kept = [[part.example for part in found] for found in fitted]
    except (RefusedConversation, TemplateRewritesTurns) as error:
        row.refused = (REFUSED, _reason(error))


def _reason(error: RefusedConversation | TemplateRewritesTurns) -> str:
    return str(error.params.get("reason") or error.what)


def _trained(example: EncodedExample) -> int:
    return sum(end - start for start, end in example.spans)


def _below(example: EncodedExample, limit: int) -> int:
    """How many learned tokens stand before ``limit``."""
    return sum(max(0, min(end, limit) - start) for start, end in example.spans)
