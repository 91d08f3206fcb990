"""What the model sees: a row as tokens, each with its role, whether it is learned and whether it is cut off."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any, Literal

from mozhu.engine.data.cutting import Cutter, Messages, Part, mask_spans
from mozhu.engine.data.encoding import EncodedExample
from mozhu.engine.data.preview_roles import Span, role_spans
from mozhu.engine.data.tokens import TrainOn
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import RefusedConversation, TemplateRewritesTurns
from mozhu.specs.data import OverLength

Stage = Literal["train", "infer"]
TEMPLATE, TEXT = "template", "text"
ROLES = ("system", "inserted", "tools", "user", "tool", "assistant", "thinking", TEXT, TEMPLATE)


@dataclass(frozen=True)
class TokenView:
    """One token. ``text`` is what it writes; empty where the letter began with the token before.

    ``role`` is one of :data:`ROLES`, ``turn`` the message whose content it is (from 1; 0: none).
    """

    id: int
    text: str
    piece: str
    role: str
    turn: int
    trained: bool
    cut: bool


@dataclass(frozen=True)
class ExampleView:
    """One sequence that training or an answer sees; ``part`` counts the row's sequences from 1."""

    part: int
    tokens: list[TokenView]

    @property
    def trained(self) -> int:
        return sum(token.trained and not token.cut for token in self.tokens)

    @property
    def cut(self) -> int:
        return sum(token.cut for token in self.tokens)


@dataclass(frozen=True)
class RowView:
    """A row with its sequences; without any, ``refused`` says why (a finding code and its parameters)."""

    row_id: str
    source: dict[str, Any]
    messages: list[dict[str, Any]]
    examples: list[ExampleView]
    inserted: str | None = None
    refused: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        for shown, example in zip(value["examples"], self.examples, strict=True):
            shown |= {"length": len(example.tokens), "trained": example.trained, "cut": example.cut}
        return value


@dataclass
class Preview:
    """``policy`` is what becomes of long rows (see ``cutting.py``); ``none`` where an answer is asked for (a prompt
    that is too long is refused, never cut). Rows are not packed: each stands alone.
    """

    model: str
    dataset: str
    stage: Stage
    train_on: TrainOn
    max_length: int
    template: str
    rows: list[RowView] = field(default_factory=list)
    policy: str = "right"
    packed: bool = False

    @property
    def tokens(self) -> int:
        return sum(len(example.tokens) - example.cut for row in self.rows for example in row.examples)

    @property
    def trained(self) -> int:
        return sum(example.trained for row in self.rows for example in row.examples)

    @property
    def cut(self) -> int:
        return sum(example.cut for row in self.rows for example in row.examples)

    def to_json(self) -> dict[str, Any]:
        names = ("model", "dataset", "stage", "train_on", "max_length", "template", "policy", "packed")
        facts = {name: getattr(self, name) for name in names}
        counts = {"tokens": self.tokens, "trained": self.trained, "cut": self.cut}
        return {**facts, **counts, "rows": [row.to_json() for row in self.rows]}


def preview_row(
    row: dict[str, Any],
    renderer: Renderer | None,
    tokenizer: Any,
    *,
    stage: Stage = "train",
    train_on: TrainOn = "all",
    max_length: int = 2048,
    over_length: OverLength = "right",
) -> RowView:
    """The row as training learns it, or with ``infer`` as its last answer is asked for.

    Tokens that are not kept are marked as cut, where they stood; the parts of a row that is split stand alone.
    """
    source, messages = row.get("source") or {}, row.get("messages") or []
    view = RowView(row["row_id"], source, messages, [])
    if row.get("images"):
        return _refused(view, "DATA-123", row=row["row_id"])
    if "messages" not in row:
        cutter = Cutter(over_length, max_length, None, bos=tokenizer.bos_token_id)
        return _with(view, _text_examples(row, tokenizer, stage, cutter))
    if renderer is None:
        return _refused(view, "MODEL-003", path=str(getattr(tokenizer, "name_or_path", "")))
    try:
        cutter = Cutter(over_length, max_length, renderer)
        examples, inserted = _conversation(row, renderer, stage, train_on, cutter)
    except (RefusedConversation, TemplateRewritesTurns) as error:
        reason = error.params.get("reason") or error.what
        return _refused(view, "DATA-122", row=row["row_id"], reason=reason)
    return _with(view, examples, inserted)


def _conversation(
    row: dict[str, Any], renderer: Renderer, stage: Stage, train_on: TrainOn, cutter: Cutter
) -> tuple[list[ExampleView], str | None]:
    messages, tools = row["messages"], row.get("tools")
    turns = [place for place, message in enumerate(messages) if message.get("role") == "assistant"]
    if stage == "infer":
        asked = messages[: turns[-1]] if turns else messages
        ids = renderer.prompt_ids(asked, tools, row=row["row_id"])
        whole = Part(EncodedExample(array("i", ids), ()), asked)
        views, inserted = _rendered(renderer, whole, tools, prompt=True)
        return [ExampleView(1, views)], inserted
    found: list[list[TokenView]] = []
    first: str | None = None
    parts = cutter.render(messages, row, last=train_on == "last")
    rejected = cutter.policy == "reject" and not cutter.fits(parts)  # the row as a whole
    for part in parts:
        shown, inserted = _rendered(renderer, part, tools)
        fits = part.length <= cutter.limit and not rejected
        if fits or rejected or cutter.policy == "right":
            kept = []
        else:
            kept = [_kept(renderer, each, row, cutter) for each in cutter.fit(part, row).parts]
        found += _with_cuts(shown, kept, cutter, fits=fits)
        first = first or inserted
    return [ExampleView(number, views) for number, views in enumerate(found, start=1)], first


def _rendered(
    renderer: Renderer, part: Part, tools: Any, *, prompt: bool = False
) -> tuple[list[TokenView], str | None]:
    """The tokens of a part by its own render, and the system prompt that the template puts in itself."""
    said: Messages = part.messages or []
    whole = renderer.text(said, tools, prompt=prompt)
    spans = role_spans(renderer, said, tools, whole, prompt=prompt)
    inserted = next((whole[span.start : span.end] for span in spans if span.role == "inserted"), None)
    ids = part.example.ids
    places = token_places(renderer.tokenizer, whole, ids)
    return _views(renderer.tokenizer, whole, ids, _mask(part.example), places, spans), inserted


def _kept(renderer: Renderer, part: Part, row: dict[str, Any], cutter: Cutter) -> list[TokenView]:
    """The tokens of what is kept of a long row: a render of its own, or stretches of one."""
    if part.windows is None:
        return _rendered(renderer, part, row.get("tools"))[0]
    whole = cutter.render(part.messages or [], row, last=part.only_last)[-1]
    return _window(_rendered(renderer, whole, row.get("tools"))[0], part)


def _text_examples(row: dict[str, Any], tokenizer: Any, stage: Stage, cutter: Cutter) -> list[ExampleView]:
    """A ``text`` row is learned whole, with the token that ends a text."""
    content = str(row["text"])
    ids = array("i", tokenizer(content, add_special_tokens=True, verbose=False)["input_ids"])
    end = tokenizer.eos_token_id
    if stage == "train" and end is not None and (not ids or ids[-1] != end):
        ids.append(end)
    spans = [Span(0, len(content), TEXT, 0)]
    mask = [stage == "train"] * len(ids)
    views = _views(tokenizer, content, ids, mask, token_places(tokenizer, content, ids), spans)
    if stage == "infer" or len(ids) <= cutter.limit:
        return [ExampleView(1, views)]
    fitted = cutter.fit(Part(EncodedExample(ids, mask_spans(mask))), row)
    kept = [_window(views, part) for part in fitted.parts]
    found = _with_cuts(views, kept, cutter, fits=False)
    return [ExampleView(number, each) for number, each in enumerate(found, start=1)]


def _window(views: Sequence[TokenView], part: Part) -> list[TokenView]:
    """The tokens of a stretch of a text, as they are learned there."""
    taken = [view for start, end in part.windows or () for view in views[start:end]]
    mask = _mask(part.example)
    return [replace(view, trained=own) for view, own in zip(taken, mask, strict=True)]


def _with_cuts(
    whole: list[TokenView], kept: list[list[TokenView]], cutter: Cutter, *, fits: bool
) -> list[list[TokenView]]:
    """The sequences to show: the parts of a split row, else the one that is kept with what was cut in its place."""
    if fits:
        return [whole]
    if cutter.policy == "right":
        left = any(view.trained for view in whole[1 : cutter.limit])  # else the row is not used at all
        return [[replace(view, cut=not left or place >= cutter.limit) for place, view in enumerate(whole)]]
    kept = [views for views in kept if any(view.trained for view in views[1:])]
    if kept and (cutter.policy == "split" or len(kept) > 1):
        return kept
    if not kept:
        return [[replace(view, cut=True) for view in whole]]
    merged: list[TokenView] = []
    before, after = [view.id for view in whole], [view.id for view in kept[0]]
    for kind, start, end, first, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind in ("delete", "replace"):
            merged += [replace(view, cut=True) for view in whole[start:end]]
        merged += kept[0][first:last]
    return [merged]


def _mask(example: EncodedExample) -> list[bool]:
    mask = [False] * len(example.ids)
    for start, end in example.spans:
        mask[start:end] = [True] * (end - start)
    return mask


def token_places(tokenizer: Any, whole: str, ids: Sequence[int]) -> list[tuple[int, int]]:
    """The characters of ``whole`` that each of ``ids`` writes; tokens that the text does not hold take none.

    Where the ids are not those of the text in one piece (an answer that begins with a line break is encoded
    apart from its prompt) the tokens between equal stretches share their characters.
    """
    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    told, offsets = list(encoded["input_ids"]), [tuple(pair) for pair in encoded["offset_mapping"]]
    if told == list(ids):
        return offsets
    places: list[tuple[int, int]] = []
    for kind, left, left_end, right, right_end in SequenceMatcher(
        None, told, list(ids), autojunk=False
    ).get_opcodes():
        if kind == "equal":
            places += offsets[left:left_end]
        elif right_end > right:
            start = offsets[left][0] if left < len(offsets) else len(whole)
            end = offsets[left_end - 1][1] if left_end > left else start
            places += _shared(tokenizer, whole, ids[right:right_end], start, end)
    return places


def _shared(tokenizer: Any, whole: str, ids: Sequence[int], start: int, end: int) -> list[tuple[int, int]]:
    """Places of tokens inside ``start`` to ``end``: each takes its own text where it stands there next."""
    places = []
    for number in ids:
        said = str(tokenizer.decode([number]))
        stop = start + len(said) if said and whole.startswith(said, start) else start
        places.append((start, min(stop, end)))
        start = min(stop, end)
    if places and start < end:
        places[-1] = (places[-1][0], end)
    return places


def _views(
    tokenizer: Any,
    whole: str,
    ids: Sequence[int],
    mask: Sequence[bool],
    places: Sequence[tuple[int, int]],
    spans: Sequence[Span],
) -> list[TokenView]:
    added = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    views = []
    shown = 0
    for place, (number, own) in enumerate(zip(ids, mask, strict=True)):
        start, end = places[place]
        role, turn = _role(start, end, spans, own and number not in added)
        text = whole[max(start, shown) : end] if end > start else _outside(tokenizer, number, start, whole)
        shown = max(shown, end)
        views.append(TokenView(number, text, str(pieces[place]), role, turn, own, False))
    return views


def _outside(tokenizer: Any, number: int, start: int, whole: str) -> str:
    """The name of a token that the text does not hold: added before its beginning or after its end."""
    return str(tokenizer.decode([number])) if start in (0, len(whole)) else ""


def _role(start: int, end: int, spans: Sequence[Span], answers: bool) -> tuple[str, int]:
    """The role of the content that most of the characters belong to; what an assistant writes otherwise (a tool
    call) is the assistant's too.
    """
    best, most = (TEMPLATE, 0), 0
    for span in spans:
        common = min(end, span.end) - max(start, span.start)
        if common > most:
            best, most = (span.role, span.turn), common
    return ("assistant", 0) if best[0] == TEMPLATE and answers else best


def _with(view: RowView, examples: list[ExampleView], inserted: str | None = None) -> RowView:
    return RowView(view.row_id, view.source, view.messages, examples, inserted)


def _refused(view: RowView, code: str, **params: Any) -> RowView:
    refused = {"code": code, "params": params}
    return RowView(view.row_id, view.source, view.messages, [], None, refused)
