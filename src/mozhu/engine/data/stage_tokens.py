"""Rows of the stages beyond supervised fine-tuning as examples: pairs of answers, marked answers, classes.

A pair becomes two examples, the wanted answer first; a marked or classified row becomes one, with its mark beside it.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mozhu.engine.data.encoding import Encoded, EncodedExample, encode_rows
from mozhu.engine.data.tokens import CutRow, DroppedRow, FittedRow
from mozhu.kernel.errors import RefusedConversation

if TYPE_CHECKING:
    from mozhu.engine.weights.template import Renderer

Stage = Literal["sft", "pt", "dpo", "orpo", "rm", "kto", "classification"]
PAIRED: frozenset[str] = frozenset({"dpo", "orpo", "rm"})
# Stages whose answers are read whole and judged at their end.
READ_WHOLE: frozenset[str] = frozenset({"rm"})
WANTED, UNWANTED = 1, 0


@dataclass(frozen=True)
class StagedRow:
    """``marks`` has a number for each example of ``fitted``: 1 and 0 of a pair or a mark, or a class."""

    fitted: FittedRow
    marks: tuple[int, ...] = ()


def fit_stage(
    rows: Iterable[dict[str, Any]],
    renderer: Renderer | None,
    *,
    stage: str,
    max_length: int,
    reject: bool,
    classes: dict[str, int] | None = None,
    tokenizer: Any = None,
) -> Iterator[StagedRow]:
    """What training gets of each row, in their order.

    Only the tokens of the answers that differ (``chosen`` and ``rejected``), or of the marked answer, are learned.
    A pair of which one side is too long is cut on the right or, with ``reject``, left out, as a whole.

    Args:
        classes: The number of every class; one that is not there leaves its row out (DATA-171).

    Raises:
        NoChatTemplate: MODEL-003.
    """
    waiting: deque[tuple[dict[str, Any], int]] = deque()

    def passing() -> Iterator[dict[str, Any]]:
        for row in rows:
            sides = _sides(row, stage)
            waiting.append((row, len(sides)))
            yield from sides

    if stage == "classification":
        for row in rows:
            yield _classified(row, renderer, tokenizer, max_length, reject, classes or {})
        return
    encoded: list[Encoded] = []
    for found in encode_rows(passing(), renderer, tokenizer, train_on="all"):
        encoded.append(found)
        row, count = waiting[0]
        if len(encoded) == count:
            waiting.popleft()
            yield _staged(row, encoded, stage, max_length, reject)
            encoded = []


def _sides(row: dict[str, Any], stage: str) -> list[dict[str, Any]]:
    """The conversations that are rendered for a row."""
    shared: dict[str, Any] = {name: row[name] for name in ("row_id", "tools", "images") if name in row}
    if stage in PAIRED:
        return [{**shared, "messages": row["messages"] + row[name]} for name in ("chosen", "rejected")]
    return [{**shared, "messages": row["messages"]}]


def _staged(
    row: dict[str, Any],
    encoded: list[Encoded],
    stage: str,
    limit: int,
    reject: bool,
) -> StagedRow:
    if row.get("images"):
        return _lost(row, "DATA-123")
    for side in encoded:
        if side.error is not None:
            reason = side.error.params.get("reason") or side.error.what
            return _lost(row, "DATA-122", reason=reason)
    answers = [_answer(row, side, stage) for side in encoded]
    longest = max(len(answer.ids) for answer in answers)
    cut = None
    if longest > limit:
        labels = sum(_learned(answer) for answer in answers)
        if reject:
            whole = CutRow(row["row_id"], longest, 0, "reject", (), labels, labels, inside=False)
            return _lost(row, "DATA-125", cut=whole, tokens=longest, max_length=limit)
        answers = [_within(answer, limit) for answer in answers]
        kept = tuple(len(answer.ids) for answer in answers)
        lost = labels - sum(_learned(answer) for answer in answers)
        cut = CutRow(row["row_id"], longest, max(kept), "right", kept, labels, lost)
    if stage not in READ_WHOLE and not all(_learned(answer) for answer in answers):
        return _lost(row, "DATA-121", cut=cut, tokens=longest, max_length=limit)
    if stage in PAIRED and answers[0].ids == answers[1].ids:
        return _lost(row, "DATA-170", cut=cut, max_length=limit)
    marks = (WANTED, UNWANTED) if stage in PAIRED else (int(bool(row.get("label"))),)
    return StagedRow(FittedRow(row, answers, cut), marks)


def _classified(
    row: dict[str, Any],
    renderer: Renderer | None,
    tokenizer: Any,
    limit: int,
    reject: bool,
    classes: dict[str, int],
) -> StagedRow:
    """The text as the model is asked with it, up to where an answer would begin, and the number of its class."""
    if row.get("images"):
        return _lost(row, "DATA-123")
    number = classes.get(str(row["label"]))
    if number is None:
        return _lost(row, "DATA-171", label=str(row["label"]), known=", ".join(classes) or "-")
    try:
        ids = array("i", asked_ids(row, renderer, tokenizer))
    except RefusedConversation as error:
        return _lost(row, "DATA-122", reason=error.params.get("reason") or error.what)
    cut = None
    if len(ids) > limit:
        kept = 0 if reject else limit
        cut = CutRow(row["row_id"], len(ids), kept, "reject" if reject else "right", (kept,) if kept else ())
        if reject:
            return _lost(row, "DATA-125", cut=cut, tokens=len(ids), max_length=limit)
    example = EncodedExample(ids[:limit], ((1, min(limit, len(ids))),))
    return StagedRow(FittedRow(row, [example], cut), (number,))


def asked_ids(row: dict[str, Any], renderer: Renderer | None, tokenizer: Any) -> list[int]:
    if renderer is not None:
        return renderer.prompt_ids(row["messages"], row.get("tools"), row=row["row_id"])
    content = "\n".join(str(message["content"]) for message in row["messages"])
    return list(tokenizer(content, add_special_tokens=True)["input_ids"])


def answered_ids(row: dict[str, Any], renderer: Renderer | None, tokenizer: Any) -> list[int]:
    """A conversation to the end of its last answer, as a reward model is trained on it.

    Raises:
        RefusedConversation: MODEL-012.
    """
    found = next(iter(encode_rows([row], renderer, tokenizer, train_on="all")))
    if found.error is not None:
        raise found.error
    return found.examples[-1].ids.tolist()


def _answer(row: dict[str, Any], side: Encoded, stage: str) -> EncodedExample:
    """The side's example with only the answer that is judged in its spans.

    A template that rewrites earlier turns gives one example an answer: the last one holds the answer as it is
    asked for.
    """
    example = side.examples[-1]
    if stage in READ_WHOLE:
        return EncodedExample(example.ids, ((1, len(example.ids)),))
    if len(side.examples) > 1 or stage == "kto":
        return EncodedExample(example.ids, example.spans[-1:])
    before = sum(message["role"] == "assistant" for message in row["messages"])
    return EncodedExample(example.ids, example.spans[before:])


def _within(example: EncodedExample, limit: int) -> EncodedExample:
    spans = tuple((start, min(end, limit)) for start, end in example.spans if start < limit)
    return EncodedExample(example.ids[:limit], spans)


def _learned(example: EncodedExample) -> int:
    return sum(end - max(1, start) for start, end in example.spans)


def _lost(row: dict[str, Any], code: str, *, cut: CutRow | None = None, **params: Any) -> StagedRow:
    dropped = DroppedRow(row["row_id"], code, {"row": row["row_id"], **params})
    return StagedRow(FittedRow(row, [], cut, dropped))
