"""Rows to token ids with the spans that are learned, in order, for data sets of any size.

What a row gives is exactly what :meth:`~mozhu.engine.weights.template.Renderer.examples` gives.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mozhu.kernel.errors import NoChatTemplate, RefusedConversation, TemplateRewritesTurns

if TYPE_CHECKING:
    from mozhu.engine.weights.template import Renderer

TrainOn = Literal["all", "last"]
IGNORED = -100
BATCH = 256


class EncodedExample(NamedTuple):
    """One training example, uncut: ``ids`` as C ints; ``spans`` are [start, end) of what is learned."""

    ids: array[int]
    spans: tuple[tuple[int, int], ...]

    def labels(self, ignored: int = IGNORED) -> array[int]:
        """As long as ``ids``: the id inside of the spans, ``ignored`` elsewhere."""
        labels = array("i", [ignored]) * len(self.ids)
        for start, end in self.spans:
            labels[start:end] = self.ids[start:end]
        return labels


@dataclass(frozen=True)
class Encoded:
    """A row's examples, or the ``error`` for which it has none (MODEL-011 or MODEL-007, ready to be told).

    A row with ``images`` is not encoded: it has neither examples nor an error.
    """

    row_id: str
    examples: list[EncodedExample]
    error: RefusedConversation | TemplateRewritesTurns | None = None


def encode_rows(
    rows: Iterable[dict[str, Any]],
    renderer: Renderer | None,
    tokenizer: Any = None,
    *,
    train_on: TrainOn = "all",
    batch: int = BATCH,
    workers: int | None = None,
) -> Iterator[Encoded]:
    """One :class:`Encoded` for every row, in the order of the rows; nothing is cut.

    ``messages`` rows go through ``renderer`` (several examples where the template rewrites earlier answers);
    ``text`` rows are learned whole, with the token that ends a text. Reads about ``batch`` rows ahead.

    Args:
        rows: Prepared rows; read once, as far as needed.
        renderer: ``None`` for a model without a chat template (``text`` rows only).
        tokenizer: For ``text`` rows; the renderer's by default.
        train_on: ``last`` teaches only the last answer of each conversation.
        batch: Rows that are encoded together.
        workers: Processes beside this one; by default as many as pay.

    Raises:
        NoChatTemplate: MODEL-003, at the first ``messages`` row without a renderer.
    """
    chosen = tokenizer if tokenizer is not None else getattr(renderer, "tokenizer", None)
    for row in rows:
        yield _encode_slowly(row, renderer, chosen, train_on == "last")


def _encode_slowly(row: dict[str, Any], renderer: Renderer | None, tokenizer: Any, last: bool) -> Encoded:
    row_id = row["row_id"]
    if row.get("images"):
        return Encoded(row_id, [])
    if "messages" not in row:
        return Encoded(row_id, [_text_example(str(row["text"]), tokenizer)])
    if renderer is None:
        raise NoChatTemplate(path=str(getattr(tokenizer, "name_or_path", "")))
    try:
        found = renderer.examples(row["messages"], row.get("tools"), row=row_id, only_last=last)
    except (RefusedConversation, TemplateRewritesTurns) as error:
        return Encoded(row_id, [], error)
    return Encoded(row_id, [EncodedExample(array("i", one.ids), _spans(one.mask)) for one in found])


def _text_example(content: str, tokenizer: Any) -> EncodedExample:
    ids = array("i", tokenizer(content, add_special_tokens=True)["input_ids"])
    end = tokenizer.eos_token_id
    if end is not None and (not ids or ids[-1] != end):
        ids.append(end)
    return EncodedExample(ids, ((0, len(ids)),))


def _spans(mask: list[bool]) -> tuple[tuple[int, int], ...]:
    spans, place = [], 0
    for own, items in groupby(mask):
        length = sum(1 for _ in items)
        if own:
            spans.append((place, place + length))
        place += length
    return tuple(spans)
