"""Rows to token ids with the spans that are learned, in order, for data sets of any size.

What a row gives is exactly what :meth:`~mozhu.engine.weights.template.Renderer.examples` gives.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mozhu.engine.weights.template_plan import Layout, Plan, Planner, Span
from mozhu.engine.weights.template_spans import SpanFinder
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
        workers: Threads that encode while the next rows are prepared: one by default, 0 for none. `tokenizers`
            itself uses all cores, unless ``TOKENIZERS_PARALLELISM`` is false.

    Raises:
        NoChatTemplate: MODEL-003, at the first ``messages`` row without a renderer.
    """
    chosen = tokenizer if tokenizer is not None else getattr(renderer, "tokenizer", None)
    encoder = RowEncoder(renderer, chosen, only_last=train_on == "last")
    if workers == 0:
        for found in _batches(rows, batch):
            yield from encoder.finish(encoder.encode(encoder.lay_out(found)))
        return
    yield from _ahead(encoder, _batches(rows, batch))


class RowEncoder:
    """Encodes batches of rows: laid out by plans, encoded together, answers found in the ids.

    What a plan does not serve, or what the ids do not prove, goes through :meth:`Renderer.examples` row by row.
    ``slow`` counts these rows, ``wrong`` the plans that were not what the template really gives.
    """

    def __init__(self, renderer: Renderer | None, tokenizer: Any, *, only_last: bool) -> None:
        self.fast = self.slow = self.wrong = 0
        self._renderer, self._tokenizer, self._only_last = renderer, tokenizer, only_last
        self._planner: Planner | None = None
        self._finder: SpanFinder | None = None
        if renderer is not None and SpanFinder.supports(renderer.tokenizer):
            self._planner = Planner(renderer.template)
            self._finder = SpanFinder(renderer.tokenizer, renderer.added_ids)
        self._texts: SpanFinder | None = None
        if tokenizer is not None and SpanFinder.supports(tokenizer):
            self._texts = SpanFinder(tokenizer, ())

    def lay_out(self, rows: list[dict[str, Any]]) -> list[_Draft]:
        """The texts of the rows, as far as plans give them."""
        return [self._draft(row) for row in rows]

    def encode(self, drafts: list[_Draft]) -> list[_Draft]:
        """Give the drafts their ids. Touches nothing that :meth:`lay_out` uses: may run in another thread."""
        chats = [draft for draft in drafts if draft.layouts]
        if chats and self._finder is not None:
            found = iter(self._finder.encode([layout.text for draft in chats for layout in draft.layouts]))
            for draft in chats:
                draft.ids = [next(found) for _ in draft.layouts]
        texts = [draft for draft in drafts if draft.text is not None]
        if texts and self._texts is not None:
            wanted = [draft.text or "" for draft in texts]
            for draft, ids in zip(texts, self._texts.encode(wanted, add_special_tokens=True), strict=True):
                draft.ids = [ids]
        return drafts

    def finish(self, drafts: list[_Draft]) -> Iterator[Encoded]:
        """The results of encoded drafts, in their order."""
        chats = [draft for draft in drafts if draft.layouts]
        layouts = [layout for draft in chats for layout in draft.layouts]
        ids = [own for draft in chats for own in draft.ids]
        spans = iter(self._finder.spans(layouts, ids) if self._finder is not None else ())
        for draft in chats:
            draft.spans = [next(spans) for _ in draft.layouts]
        for draft in drafts:
            yield self._result(draft)

    def _draft(self, row: dict[str, Any]) -> _Draft:
        draft = _Draft(row)
        if row.get("images"):
            return draft
        if "messages" not in row:
            draft.text = str(row["text"]) if self._texts is not None else None
        elif self._planner is not None:
            found = self._planner.layouts(row["messages"], row.get("tools"), only_last=self._only_last)
            if found is not None:
                draft.layouts, draft.plan = found
        return draft

    def _result(self, draft: _Draft) -> Encoded:
        if draft.text is not None:
            self.fast += 1
            return Encoded(draft.row["row_id"], [_ended(draft.ids[0], self._tokenizer)])
        if draft.plan is None or draft.plan.broken or None in draft.spans:
            return self._slowly(draft.row)
        pairs = zip(draft.ids, draft.spans, strict=True)
        examples = [EncodedExample(array("i", ids), spans or ()) for ids, spans in pairs]
        self.fast += 1
        fast = Encoded(draft.row["row_id"], examples)
        return self._checked(draft, fast, draft.plan) if draft.plan.unchecked else fast

    def _checked(self, draft: _Draft, fast: Encoded, plan: Plan) -> Encoded:
        """The first results of every plan are compared with what the template really gives."""
        slow = _encode_slowly(draft.row, self._renderer, self._tokenizer, self._only_last)
        plan.unchecked -= 1
        if fast.examples != slow.examples:
            plan.broken = True
            self.wrong += 1
        return slow

    def _slowly(self, row: dict[str, Any]) -> Encoded:
        self.slow += not row.get("images")
        return _encode_slowly(row, self._renderer, self._tokenizer, self._only_last)


@dataclass(eq=False)
class _Draft:
    """A row on its way: its texts, then their ids, then the spans of its answers."""

    row: dict[str, Any]
    text: str | None = None
    layouts: Sequence[Layout] = ()
    plan: Plan | None = None
    ids: list[list[int]] = field(default_factory=list)
    spans: Sequence[tuple[Span, ...] | None] = ()


def _ahead(encoder: RowEncoder, batches: Iterator[list[dict[str, Any]]]) -> Iterator[Encoded]:
    """One batch is encoded in a thread (`tokenizers` needs no lock of Python's) while others are prepared."""
    with ThreadPoolExecutor(1, "mozhu-encode") as pool:
        waiting: Future[list[_Draft]] | None = None
        for rows in batches:
            drafts = encoder.lay_out(rows)
            done, waiting = waiting, pool.submit(encoder.encode, drafts)
            if done is not None:
                yield from encoder.finish(done.result())
        if waiting is not None:
            yield from encoder.finish(waiting.result())


def _batches(rows: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    source = iter(rows)
    while found := list(islice(source, size)):
        yield found


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
    return _ended(tokenizer(content, add_special_tokens=True)["input_ids"], tokenizer)


def _ended(found: list[int], tokenizer: Any) -> EncodedExample:
    ids, end = array("i", found), tokenizer.eos_token_id
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
