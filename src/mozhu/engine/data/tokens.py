"""Prepared rows as token ids with labels: only answers are learned, and nothing is cut in silence."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mozhu.engine.data.cutting import Cutter, Part, learned, row_parts
from mozhu.engine.data.encoding import IGNORED, Encoded, EncodedExample, TrainOn, encode_rows
from mozhu.kernel.errors import NoTrainableTokens, RefusedConversation, TemplateRewritesTurns
from mozhu.specs.data import OverLength

if TYPE_CHECKING:
    from mozhu.engine.weights.template import Renderer

_SHOWN = 5


@dataclass(frozen=True)
class Example:
    """``ids`` and ``labels`` are equally long; ``labels[i]`` is ``ids[i]``, or -100 (nothing learned)."""

    ids: list[int]
    labels: list[int]
    row_id: str

    @property
    def learned(self) -> int:
        """How many tokens are predicted: the first token of a row never is, nothing stands before it."""
        return sum(label != IGNORED for label in self.labels[1:])


@dataclass(frozen=True)
class CutRow:
    """A row that was longer than the limit: ``tokens`` long, and what was kept of it.

    ``kept`` is the longest of ``parts``, the lengths of its examples; ``labels`` are the tokens that it would
    teach whole, ``labels_lost`` those that it no longer does. ``turns_left_out``: messages dropped whole.
    ``inside``: a text or turn was cut inside.
    """

    row_id: str
    tokens: int
    kept: int
    policy: OverLength = "right"
    parts: tuple[int, ...] = ()
    labels: int = 0
    labels_lost: int = 0
    turns_left_out: int = 0
    inside: bool = True


@dataclass(frozen=True)
class DroppedRow:
    """``code``: DATA-121 (no answer left), DATA-122 (the template refuses it), DATA-123 (it has images) or
    DATA-125 (too long, and such rows are rejected).
    """

    row_id: str
    code: str
    params: dict[str, Any]


@dataclass(frozen=True)
class TokenStats:
    """Lengths in tokens; ``label_share`` is the part of all tokens that is learned."""

    rows: int
    tokens: int
    mean: float
    p50: int
    p95: int
    max: int
    label_share: float


@dataclass(frozen=True)
class FittedRow:
    """What training gets of a row: examples within the limit, or why it gets none; ``cut`` where it was longer.

    A row that is longer and of which nothing is kept has both ``cut`` and ``dropped``.
    """

    row: dict[str, Any]
    examples: list[EncodedExample]
    cut: CutRow | None = None
    dropped: DroppedRow | None = None


class Losses:
    """Cut and dropped rows as they are told: counts, and the first of each kind."""

    def __init__(self, max_length: int) -> None:
        self.max_length = max_length
        self.dropped: Counter[str] = Counter()
        self.shown: list[DroppedRow] = []
        self.cut: Counter[str] = Counter()
        self._cut_rows: list[CutRow] = []
        self._parts = self._lost = self._longest = 0

    def add(self, item: CutRow | DroppedRow) -> None:
        if isinstance(item, DroppedRow):
            self.dropped[item.code] += 1
            self.shown += [item] if len(self.shown) < _SHOWN else []
            return
        self.cut[item.policy] += 1
        self._cut_rows += [item] if len(self._cut_rows) < _SHOWN else []
        self._parts += len(item.parts)
        self._lost += item.labels_lost
        self._longest = max(self._longest, item.tokens)

    def findings(self) -> list[dict[str, Any]]:
        """Fields of ``finding`` events: over-length rows together, the first dropped rows one by one."""
        found = [self._cut_finding(policy, count) for policy, count in self.cut.items()]
        found += [{"level": "warning", "code": row.code, "params": row.params} for row in self.shown]
        if self.dropped.total() > _SHOWN:
            params = {"count": self.dropped.total(), "shown": _SHOWN}
            found.append({"level": "warning", "code": "DATA-124", "params": params})
        return found

    def _cut_finding(self, policy: str, count: int) -> dict[str, Any]:
        rows = ", ".join(f"{row.row_id} ({row.tokens} > {row.kept})" for row in self._cut_rows)
        params = {
            "count": count,
            "max_length": self.max_length,
            "longest": self._longest,
            "rows": rows,
            "lost": self._lost,
            "policy": policy,
            "parts": self._parts,
        }
        code = {"right": "DATA-120", "split": "DATA-127"}.get(policy, "DATA-126")
        return {"level": "info" if code == "DATA-127" else "warning", "code": code, "params": params}


@dataclass
class TokenizedRows:
    examples: list[Example] = field(default_factory=list)
    cut: list[CutRow] = field(default_factory=list)
    dropped: list[DroppedRow] = field(default_factory=list)
    max_length: int = 0

    @property
    def stats(self) -> TokenStats:
        return token_stats(self.examples)

    def findings(self) -> list[dict[str, Any]]:
        """What to tell about cut and dropped rows: fields of ``finding`` events."""
        losses = Losses(self.max_length)
        for cut in self.cut:
            losses.add(cut)
        for dropped in self.dropped:
            losses.add(dropped)
        return losses.findings()


def tokenize_rows(
    rows: Iterable[dict[str, Any]],
    renderer: Renderer | None,
    *,
    max_length: int,
    tokenizer: Any = None,
    train_on: TrainOn = "all",
    over_length: OverLength = "right",
) -> TokenizedRows:
    """Every row as examples of at most ``max_length`` tokens; cut and dropped rows are listed by id.

    A ``messages`` row is rendered by the model's own template, and only the assistant's tokens carry labels;
    a conversation whose earlier answers the template rewrites gives one example for each answer. A ``text``
    row is learned whole, with the token that ends a text.

    Args:
        rows: Prepared rows.
        renderer: Of the model's folder; ``None`` for a model without a chat template (``text`` rows only).
        tokenizer: For ``text`` rows; the renderer's by default.
        train_on: ``last`` teaches only the last answer of each conversation.
        over_length: What becomes of longer rows (see ``cutting.py``).

    Raises:
        NoTrainableTokens: TRAIN-001, not one example is left.
        NoChatTemplate: MODEL-003, there are ``messages`` but no renderer.
    """
    result = TokenizedRows(max_length=max_length)
    count = 0
    for found in fit_rows(
        rows,
        renderer,
        max_length=max_length,
        tokenizer=tokenizer,
        train_on=train_on,
        over_length=over_length,
    ):
        count += 1
        result.cut += [found.cut] if found.cut and not found.dropped else []
        result.dropped += [found.dropped] if found.dropped else []
        result.examples += [
            Example(item.ids.tolist(), item.labels().tolist(), found.row["row_id"]) for item in found.examples
        ]
    if not result.examples:
        raise NoTrainableTokens(rows=count, max_length=max_length)
    return result


def fit_rows(
    rows: Iterable[dict[str, Any]],
    renderer: Renderer | None,
    *,
    max_length: int,
    tokenizer: Any = None,
    train_on: TrainOn = "all",
    over_length: OverLength = "right",
) -> Iterator[FittedRow]:
    """What :func:`tokenize_rows` makes of each row, one at a time and in their order.

    Raises:
        NoChatTemplate: MODEL-003.
    """
    chosen = tokenizer if tokenizer is not None else getattr(renderer, "tokenizer", None)
    cutter = Cutter(over_length, max_length, renderer, bos=getattr(chosen, "bos_token_id", None))
    waiting: deque[dict[str, Any]] = deque()

    def passing() -> Iterator[dict[str, Any]]:
        for row in rows:
            waiting.append(row)
            yield row

    for encoded in encode_rows(passing(), renderer, chosen, train_on=train_on):
        yield _fit(waiting.popleft(), encoded, cutter, last=train_on == "last")


def token_stats(examples: Sequence[Example]) -> TokenStats:
    """The statistics of ``examples``; percentiles are nearest-rank. All zero when there are none."""
    lengths = Counter(len(example.ids) for example in examples)
    labels = sum(label != IGNORED for example in examples for label in example.labels)
    return stats_of_lengths(lengths, labels)


def stats_of_lengths(lengths: Counter[int], labels: int) -> TokenStats:
    """The statistics of examples that are known by how many there are of each length."""
    count, total = lengths.total(), sum(length * times for length, times in lengths.items())
    if not count:
        return TokenStats(0, 0, 0.0, 0, 0, 0, 0.0)
    return TokenStats(
        rows=count,
        tokens=total,
        mean=round(total / count, 2),
        p50=_percentile(lengths, 0.50),
        p95=_percentile(lengths, 0.95),
        max=max(lengths),
        label_share=round(labels / total, 4) if total else 0.0,
    )


def _fit(row: dict[str, Any], encoded: Encoded, cutter: Cutter, *, last: bool) -> FittedRow:
    """The row within the limit; or as dropped when nothing in it would be learned."""
    if row.get("images"):
        return FittedRow(row, [], dropped=_dropped(row, "DATA-123"))
    if encoded.error is not None:
        return FittedRow(row, [], dropped=_refused(row, encoded.error))
    limit = cutter.limit
    longest = max((len(example.ids) for example in encoded.examples), default=0)
    if longest <= limit:
        kept = [example for example in encoded.examples if learned(example)]
        return FittedRow(row, kept) if kept else FittedRow(row, [], dropped=_nothing(row, longest, limit))
    if cutter.policy == "reject":
        lost = _dropped(row, "DATA-125", tokens=longest, max_length=limit)
        return FittedRow(row, [], _whole(row, encoded.examples, cutter.policy), lost)
    try:
        return _cut(row, row_parts(row, encoded.examples, last=last), cutter, longest)
    except (RefusedConversation, TemplateRewritesTurns) as error:
        return FittedRow(row, [], dropped=_refused(row, error))


def _cut(row: dict[str, Any], parts: Sequence[Part], cutter: Cutter, longest: int) -> FittedRow:
    fitted = [cutter.fit(part, row) for part in parts]
    kept = [part.example for item in fitted for part in item.parts if learned(part.example)]
    if not kept:
        lost = _whole(row, [part.example for part in parts], cutter.policy)
        return FittedRow(row, [], lost, _nothing(row, longest, cutter.limit))
    lengths = tuple(len(example.ids) for example in kept)
    labels = sum(learned(part.example) for part in parts)
    cut = CutRow(
        row_id=row["row_id"],
        tokens=longest,
        kept=max(lengths),
        policy=cutter.policy,
        parts=lengths,
        labels=labels,
        labels_lost=labels - sum(learned(example) for example in kept),
        turns_left_out=sum(item.turns_left_out for item in fitted),
        inside=any(item.inside for item in fitted),
    )
    return FittedRow(row, kept, cut)


def _whole(row: dict[str, Any], examples: Sequence[EncodedExample], policy: OverLength) -> CutRow:
    """A row of which nothing is kept."""
    labels = sum(learned(example) for example in examples)
    longest = max(len(example.ids) for example in examples)
    return CutRow(row["row_id"], longest, 0, policy, (), labels, labels, inside=False)


def _refused(row: dict[str, Any], error: RefusedConversation | TemplateRewritesTurns) -> DroppedRow:
    return _dropped(row, "DATA-122", reason=error.params.get("reason") or error.what)


def _nothing(row: dict[str, Any], tokens: int, limit: int) -> DroppedRow:
    return _dropped(row, "DATA-121", tokens=tokens, max_length=limit)


def _dropped(row: dict[str, Any], code: str, **params: Any) -> DroppedRow:
    return DroppedRow(row["row_id"], code, {"row": row["row_id"], **params})


def _percentile(lengths: Counter[int], share: float) -> int:
    wanted = max(1, math.ceil(share * lengths.total()))
    for length in sorted(lengths):
        wanted -= lengths[length]
        if wanted <= 0:
            return length
    return 0
