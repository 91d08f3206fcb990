"""Prepared rows as token ids with labels: only answers are learned, and nothing is cut in silence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mozhu.kernel.errors import NoChatTemplate, NoTrainableTokens, RefusedConversation, TemplateRewritesTurns

if TYPE_CHECKING:
    from mozhu.engine.weights.template import Renderer

TrainOn = Literal["all", "last"]
IGNORED = -100
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
    row_id: str
    tokens: int
    kept: int


@dataclass(frozen=True)
class DroppedRow:
    """``code``: DATA-121 (no answer left), DATA-122 (the template refuses it) or DATA-123 (it has images)."""

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
        found: list[dict[str, Any]] = []
        if self.cut:
            longest = max(row.tokens for row in self.cut)
            rows = ", ".join(f"{row.row_id} ({row.tokens} > {row.kept})" for row in self.cut[:_SHOWN])
            params = {"count": len(self.cut), "max_length": self.max_length, "longest": longest, "rows": rows}
            found.append({"level": "warning", "code": "DATA-120", "params": params})
        for row in self.dropped[:_SHOWN]:
            found.append({"level": "warning", "code": row.code, "params": row.params})
        if len(self.dropped) > _SHOWN:
            params = {"count": len(self.dropped), "shown": _SHOWN}
            found.append({"level": "warning", "code": "DATA-124", "params": params})
        return found


def tokenize_rows(
    rows: Iterable[dict[str, Any]],
    renderer: Renderer | None,
    *,
    max_length: int,
    tokenizer: Any = None,
    train_on: TrainOn = "all",
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

    Raises:
        NoTrainableTokens: TRAIN-001, not one example is left.
        NoChatTemplate: MODEL-003, there are ``messages`` but no renderer.
    """
    chosen = tokenizer if tokenizer is not None else getattr(renderer, "tokenizer", None)
    result = TokenizedRows(max_length=max_length)
    count = 0
    for row in rows:
        count += 1
        if row.get("images"):
            result.dropped.append(_dropped(row, "DATA-123"))
            continue
        try:
            encoded = _encode(row, renderer, chosen, train_on)
        except (RefusedConversation, TemplateRewritesTurns) as error:
            result.dropped.append(_dropped(row, "DATA-122", reason=error.params.get("reason") or error.what))
            continue
        for ids, labels in encoded:
            _keep(result, row, ids, labels)
    if not result.examples:
        raise NoTrainableTokens(rows=count, max_length=max_length)
    return result


def token_stats(examples: Sequence[Example]) -> TokenStats:
    """The statistics of ``examples``; percentiles are nearest-rank. All zero when there are none."""
    lengths = sorted(len(example.ids) for example in examples)
    total = sum(lengths)
    if not lengths:
        return TokenStats(0, 0, 0.0, 0, 0, 0, 0.0)
    labels = sum(label != IGNORED for example in examples for label in example.labels)
    return TokenStats(
        rows=len(lengths),
        tokens=total,
        mean=round(total / len(lengths), 2),
        p50=_percentile(lengths, 0.50),
        p95=_percentile(lengths, 0.95),
        max=lengths[-1],
        label_share=round(labels / total, 4) if total else 0.0,
    )


def _encode(
    row: dict[str, Any], renderer: Renderer | None, tokenizer: Any, train_on: TrainOn
) -> list[tuple[list[int], list[int]]]:
    if "messages" not in row:
        return [_encode_text(str(row["text"]), tokenizer)]
    if renderer is None:
        raise NoChatTemplate(path=str(getattr(tokenizer, "name_or_path", "")))
    last = train_on == "last"
    rendered = renderer.examples(row["messages"], row.get("tools"), row=row["row_id"], only_last=last)
    return [(list(item.ids), item.labels(IGNORED)) for item in rendered]


def _encode_text(content: str, tokenizer: Any) -> tuple[list[int], list[int]]:
    ids = list(tokenizer(content, add_special_tokens=True)["input_ids"])
    end = tokenizer.eos_token_id
    if end is not None and (not ids or ids[-1] != end):
        ids.append(end)
    return ids, list(ids)


def _keep(result: TokenizedRows, row: dict[str, Any], ids: list[int], labels: list[int]) -> None:
    """Add the example, cut to length; or list the row as dropped when nothing in it would be learned."""
    example = Example(ids[: result.max_length], labels[: result.max_length], row["row_id"])
    if not example.learned:
        result.dropped.append(_dropped(row, "DATA-121", tokens=len(ids), max_length=result.max_length))
        return
    if len(ids) > result.max_length:
        result.cut.append(CutRow(row["row_id"], len(ids), result.max_length))
    result.examples.append(example)


def _dropped(row: dict[str, Any], code: str, **params: Any) -> DroppedRow:
    return DroppedRow(row["row_id"], code, {"row": row["row_id"], **params})


def _percentile(ordered: list[int], share: float) -> int:
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
