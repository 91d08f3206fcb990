"""What the model sees: a row as tokens, each with its role, whether it is learned and whether it is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from typing import Any, Literal

from mozhu.engine.data.preview_roles import Span, role_spans
from mozhu.engine.data.tokens import TrainOn
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import RefusedConversation, TemplateRewritesTurns

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
    """``policy`` is how long rows are cut: ``right``, at their end; ``none`` where an answer is asked for (a prompt
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
) -> RowView:
    """The row as training learns it, or with ``infer`` as its last answer is asked for."""
    source, messages = row.get("source") or {}, row.get("messages") or []
    view = RowView(row["row_id"], source, messages, [])
    if row.get("images"):
        return _refused(view, "DATA-123", row=row["row_id"])
    if "messages" not in row:
        return _with(view, [_text_example(str(row["text"]), tokenizer, stage, max_length)])
    if renderer is None:
        return _refused(view, "MODEL-003", path=str(getattr(tokenizer, "name_or_path", "")))
    try:
        examples, inserted = _conversation(row, renderer, stage, train_on, max_length)
    except (RefusedConversation, TemplateRewritesTurns) as error:
        reason = error.params.get("reason") or error.what
        return _refused(view, "DATA-122", row=row["row_id"], reason=reason)
    return _with(view, examples, inserted)


def _conversation(
    row: dict[str, Any], renderer: Renderer, stage: Stage, train_on: TrainOn, limit: int
) -> tuple[list[ExampleView], str | None]:
    messages, tools = row["messages"], row.get("tools")
    turns = [place for place, message in enumerate(messages) if message.get("role") == "assistant"]
    if stage == "infer":
        asked = messages[: turns[-1]] if turns else messages
        ids = renderer.prompt_ids(asked, tools, row=row["row_id"])
        sequences, limit = [(asked, ids, [False] * len(ids))], len(ids)
    else:
        made = renderer.examples(messages, tools, row=row["row_id"], only_last=train_on == "last")
        told = [messages] if len(made) == 1 else [messages[: turn + 1] for turn in turns]
        sequences = [(said, item.ids, item.mask) for said, item in zip(told, made, strict=True)]
    inserted: str | None = None
    examples = []
    for part, (said, ids, mask) in enumerate(sequences, start=1):
        whole = renderer.text(said, tools, prompt=stage == "infer")
        spans = role_spans(renderer, said, tools, whole, prompt=stage == "infer")
        inserted = next((whole[span.start : span.end] for span in spans if span.role == "inserted"), inserted)
        places = token_places(renderer.tokenizer, whole, ids)
        views = _views(renderer.tokenizer, whole, ids, mask, places, spans, limit)
        examples.append(ExampleView(part, views))
    return examples, inserted


def _text_example(content: str, tokenizer: Any, stage: Stage, limit: int) -> ExampleView:
    """A ``text`` row is learned whole, with the token that ends a text."""
    ids = list(tokenizer(content, add_special_tokens=True, verbose=False)["input_ids"])
    limit = limit if stage == "train" else len(ids)
    end = tokenizer.eos_token_id
    if stage == "train" and end is not None and (not ids or ids[-1] != end):
        ids.append(end)
    places = token_places(tokenizer, content, ids)
    mask = [stage == "train"] * len(ids)
    spans = [Span(0, len(content), TEXT, 0)]
    return ExampleView(1, _views(tokenizer, content, ids, mask, places, spans, limit))


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
    limit: int,
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
        views.append(TokenView(number, text, str(pieces[place]), role, turn, own, place >= limit))
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
