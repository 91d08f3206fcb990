"""Where answers stand in the text of a conversation, known from one followed run of the template.

The first time a kind of conversation comes (the same roles, keys and tools) its template is followed
(:mod:`~mozhu.engine.weights.template_trace`): the whole conversation, and each prompt and turn on the way. What
comes out is a plan: which texts stand where, and what must be true of them. Every further conversation of the
kind is laid out by filling in its texts. The result is what :meth:`Renderer.examples` would find, or nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from mozhu.engine.weights.jinja import ChatTemplate
from mozhu.engine.weights.template_forms import form_of, with_atoms
from mozhu.engine.weights.template_terms import Log, Parts, Reader, Untraceable, reader
from mozhu.engine.weights.template_trace import TracedTemplate

_FORMS, _PATHS = 1024, 8

Span = tuple[int, int]


class Layout(NamedTuple):
    """The text of one training example; ``spans`` are the characters of its answers."""

    text: str
    spans: tuple[Span, ...]


@dataclass
class Counts:
    """``planned`` conversations were laid out by a plan, ``followed`` ones gave a plan, ``left`` ones neither."""

    planned: int = 0
    followed: int = 0
    left: int = 0


class Planner:
    """Lays out conversations by plans that it makes as it goes.

    Args:
        template: The model's.
    """

    def __init__(self, template: ChatTemplate) -> None:
        self.counts = Counts()
        self._now = template.now
        self._forms: OrderedDict[Any, list[Plan] | None] = OrderedDict()
        try:
            self._template: TracedTemplate | None = TracedTemplate(template)
        except Untraceable:
            self._template = None

    def layouts(self, messages: Any, tools: Any, *, only_last: bool) -> tuple[list[Layout], Plan] | None:
        """The examples of a conversation with the plan that laid them out; ``None`` where there is none yet,
        or where none can be made.
        """
        form, atoms = form_of(messages, tools)
        if form is None or self._template is None:
            self.counts.left += 1
            return None
        key = (only_last, *form)
        plans = self._forms.get(key)
        for plan in plans or ():
            found = plan.lay_out(atoms)
            if found:
                self.counts.planned += 1
                return found, plan
            if found is not None:
                self.counts.left += 1
                return None
        self._learn(key, messages, tools, only_last)
        return None

    def _learn(self, key: Any, messages: Any, tools: Any, only_last: bool) -> None:
        """A new plan for the form, from its second conversation on: many forms come once only."""
        if key not in self._forms:
            self._forms[key] = []
            self.counts.left += 1
            if len(self._forms) > _FORMS:
                self._forms.popitem(last=False)
            return
        self._forms.move_to_end(key)
        plans = self._forms[key]
        if plans is None or len(plans) >= _PATHS:
            self.counts.left += 1
            return
        try:
            assert self._template is not None
            plans.append(follow(self._template, messages, tools, only_last=only_last, now=self._now))
            self.counts.followed += 1
        except Untraceable:
            self._forms[key] = plans or None
            self.counts.left += 1


@dataclass(eq=False)
class Plan:
    """How conversations of one form are laid out, where ``conditions`` hold of their texts.

    ``unchecked`` counts down the layouts that are still compared with what the template really gives;
    a plan that was wrong is ``broken`` and lays out nothing more.
    """

    conditions: list[tuple[Reader, Any]]
    whole: Text
    turns: list[Turn]
    only_last: bool
    simple: bool = False
    unchecked: int = 2
    broken: bool = False

    def lay_out(self, atoms: Sequence[str]) -> list[Layout] | None:
        """The examples; ``None`` where the texts take another way; none where an answer cannot be told apart."""
        for read, wanted in self.conditions:
            if read(atoms) != wanted:
                return None
        if self.broken:
            return []
        return (self._simply(atoms) if self.simple else None) or self._by_comparing(atoms)

    def _simply(self, atoms: Sequence[str]) -> list[Layout] | None:
        """Where every prompt and turn is a beginning of the whole, whatever the texts are."""
        text, lengths = self.whole.fill(atoms)
        spans = []
        for turn in self.turns:
            start, end = turn.start.place(lengths), turn.end.place(lengths)
            if end <= start:
                return None
            spans.append((start, end))
        return [Layout(text, tuple(spans))]

    def _by_comparing(self, atoms: Sequence[str]) -> list[Layout]:
        """The same comparisons as :meth:`Renderer.examples` makes, on the same texts."""
        whole = self.whole.fill(atoms)[0]
        turns = [turn.texts(atoms) for turn in self.turns]
        spans = [_span(whole, before, through) for before, through in turns]
        if None not in spans:
            return [Layout(whole, tuple(span for span in spans if span is not None))]
        if self.only_last:
            return []
        alone = [
            Layout(through, (span,)) for before, through in turns if (span := _span(through, before, through))
        ]
        return alone if len(alone) == len(turns) else []


def _span(whole: str, before: str | None, through: str) -> Span | None:
    if before is None or len(through) <= len(before):
        return None
    starts = whole.startswith(before) and whole.startswith(through)
    return (len(before), len(through)) if starts else None


class Text:
    """A text as literals with the places of terms between them."""

    def __init__(self, parts: Parts, now: Callable[[], datetime]) -> None:
        self.parts = parts
        self._pieces = [part if isinstance(part, str) else "" for part in parts]
        self._slots = [(at, reader(part, now)) for at, part in enumerate(parts) if not isinstance(part, str)]

    def fill(self, atoms: Sequence[str]) -> tuple[str, list[int]]:
        """The text, and the lengths of its terms summed up: one number before each term and one at the end."""
        pieces = self._pieces.copy()
        lengths, total = [0], 0
        for at, read in self._slots:
            value = read(atoms)
            pieces[at] = value
            total += len(value)
            lengths.append(total)
        return "".join(pieces), lengths


class Border(NamedTuple):
    """A place in a text: after ``literal`` characters of the template and ``terms`` terms."""

    literal: int
    terms: int

    def place(self, lengths: list[int]) -> int:
        return self.literal + lengths[self.terms]


_NOWHERE = Border(0, 0)


@dataclass
class Turn:
    """An answer: the prompt before it (``None``: it opens the conversation) and the text through it."""

    before: Text | None
    through: Text
    content: Reader | None = None
    start: Border = _NOWHERE
    end: Border = _NOWHERE

    def texts(self, atoms: Sequence[str]) -> tuple[str | None, str]:
        through = self.through.fill(atoms)[0]
        if self.before is not None:
            return self.before.fill(atoms)[0], through
        return self._first(atoms, through), through

    def _first(self, atoms: Sequence[str], through: str) -> str | None:
        """What stands before an answer that opens a conversation: its first appearance is looked for."""
        content = self.content(atoms).strip() if self.content is not None else ""
        place = through.find(content) if content else -1
        return through[:place] if place >= 0 else None


def follow(
    template: TracedTemplate, messages: Any, tools: Any, *, only_last: bool, now: Callable[[], datetime]
) -> Plan:
    """The plan of a conversation's form.

    Raises:
        Untraceable: The template does with a text what cannot be followed, or refuses the conversation.
    """
    log = Log(now)
    traced = with_atoms(messages, log)

    def text(until: int, prompt: bool = False) -> Text:
        return Text(template.parts(traced[:until], tools, prompt=prompt, log=log), now)

    numbers = [at for at, message in enumerate(messages) if message.get("role") == "assistant"]
    turns = []
    for at in numbers[-1:] if only_last else numbers:
        content = traced[at].get("content")
        opening = reader(("atom", 0), now) if at == 0 and isinstance(content, str) else None
        turns.append(Turn(text(at, prompt=True) if at else None, text(at + 1), opening))
    whole = text(len(messages))
    plan = Plan([], whole, turns, only_last)
    plan.conditions = [(reader(term, now), value) for term, value in log.conditions.items()]
    plan.simple = all(_placed(turn, whole) for turn in turns)
    return plan


def _placed(turn: Turn, whole: Text) -> bool:
    """Give ``turn`` its borders, if it begins the whole by its parts alone."""
    if turn.before is None:
        return False
    start, end = _border(turn.before.parts, whole.parts), _border(turn.through.parts, whole.parts)
    if start is None or end is None:
        return False
    turn.start, turn.end = start, end
    return True


def _border(parts: Parts, whole: Parts) -> Border | None:
    """Where ``parts`` end in ``whole``, when they are its beginning."""
    if len(parts) > len(whole):
        return None
    for at, part in enumerate(parts):
        other = whole[at]
        if part == other:
            continue
        is_text = isinstance(part, str) and isinstance(other, str)
        if at < len(parts) - 1 or not is_text or not str(other).startswith(str(part)):
            return None
    literal = sum(len(part) for part in parts if isinstance(part, str))
    return Border(literal, sum(not isinstance(part, str) for part in parts))
