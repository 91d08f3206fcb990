"""What becomes of a row that is longer than the limit; no policy leaves an example longer than it.

right   the first tokens are kept
left    the last ones: whole oldest turns go first, and what stays is rendered anew with its system message, so that
        what is learned is still a real prompt; only in a single exchange that is too long is a turn cut inside
middle  the first and the last exchange are kept, the turns between go; else a turn loses its middle
split   several examples which together teach every token of an answer exactly once: texts as windows, conversations
        by exchanges, each part rendered with the system message; an answer that is too long alone as windows
reject  nothing is kept

A token that follows a gap inside a turn is not learned: what stood before it in the data is not there.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from mozhu.engine.data.encoding import EncodedExample
from mozhu.specs.data import OverLength

if TYPE_CHECKING:
    from mozhu.engine.weights.template import Renderer

Messages = list[dict[str, Any]]
_SYSTEM = ("system", "developer")


@dataclass(frozen=True)
class Part:
    """One sequence with the messages it is the render of (none for a text); ``only_last``: teaches the last answer.

    ``windows`` are the [start, end) of the row's own sequence that it holds, where it was not rendered anew.
    """

    example: EncodedExample
    messages: Messages | None = None
    only_last: bool = False
    windows: tuple[tuple[int, int], ...] | None = None

    @property
    def length(self) -> int:
        return len(self.example.ids)


@dataclass(frozen=True)
class Fitted:
    """The parts that are kept; how many messages were left out whole, and whether one was cut inside."""

    parts: list[Part]
    turns_left_out: int = 0
    inside: bool = False


def learned(example: EncodedExample) -> int:
    """How many tokens are predicted: the first of a sequence never is, nothing stands before it."""
    return sum(end - max(1, start) for start, end in example.spans if end > 1)


def row_parts(row: dict[str, Any], examples: Sequence[EncodedExample], *, last: bool) -> list[Part]:
    """Each encoded example of ``row`` with the messages it comes from."""
    messages = row.get("messages")
    if messages is None:
        return [Part(example) for example in examples]
    if len(examples) == 1:
        return [Part(examples[0], messages, last)]
    turns = [place for place, message in enumerate(messages) if message.get("role") == "assistant"]
    return [Part(example, messages[: turn + 1], True) for turn, example in zip(turns, examples, strict=True)]


class Cutter:
    """Cuts to ``limit`` tokens by one policy.

    Args:
        renderer: Renders what is left of a conversation; ``None`` where there are only texts.
        bos: The id that begins every text, if there is one: kept in front of a text whose beginning goes.
    """

    def __init__(
        self, policy: OverLength, limit: int, renderer: Renderer | None, *, bos: int | None = None
    ) -> None:
        self.policy, self.limit = policy, limit
        self._renderer, self._bos = renderer, bos

    def fit(self, part: Part, row: dict[str, Any]) -> Fitted:
        """``part`` as sequences within the limit; unchanged where it fits.

        Raises:
            RefusedConversation: MODEL-011, the template refuses what is left. TemplateRewritesTurns: MODEL-007.
        """
        if part.length <= self.limit:
            return Fitted([part])
        if self.policy == "reject":
            return Fitted([])
        if self.policy == "right":
            return Fitted([_taken(part, [(0, self.limit)])], inside=True)
        if part.messages is None:
            return Fitted(self._text(part), inside=True)
        return _Conversation(self, part, row).fit()

    def render(self, messages: Messages, row: dict[str, Any], *, last: bool) -> list[Part]:
        assert self._renderer is not None
        found = self._renderer.examples(messages, row.get("tools"), row=row["row_id"], only_last=last)
        examples = [EncodedExample(array("i", item.ids), mask_spans(item.mask)) for item in found]
        return row_parts({**row, "messages": messages}, examples, last=last)

    def fits(self, parts: Sequence[Part]) -> bool:
        return all(part.length <= self.limit for part in parts)

    def _text(self, part: Part) -> list[Part]:
        count, limit = part.length, self.limit
        if self.policy == "split":
            return windows(part, limit, context=1)
        if self.policy == "left":
            head = int(bool(count) and part.example.ids[0] == self._bos and limit > 1)
        else:
            head = (limit + 1) // 2
        return [_bridged(part, head, limit)]


@dataclass
class _Conversation:
    """One conversation that is too long."""

    cutter: Cutter
    part: Part
    row: dict[str, Any]

    def __post_init__(self) -> None:
        messages = self.part.messages or []
        count = 0
        while count < len(messages) and messages[count].get("role") in _SYSTEM:
            count += 1
        self.head, self.exchanges = messages[:count], exchanges(messages[count:])

    def fit(self) -> Fitted:
        if self.cutter.policy == "split" and not self.part.only_last:
            return self._split()
        fewest = 1 if self.cutter.policy == "middle" else 0
        first = self.exchanges[:fewest]
        found = _fewest_left_out(
            range(fewest, len(self.exchanges)),
            lambda start: self._if_it_fits([*first, *self.exchanges[start:]]),
        )
        if found is not None and found[0] > fewest:
            start, parts = found
            return Fitted(parts, turns_left_out=_count(self.exchanges[fewest:start]))
        return self._inside(self.exchanges[-1], _count(self.exchanges[:-1]))

    def _split(self) -> Fitted:
        """As many exchanges to a part as fit, in their order; an exchange that is too long alone is cut inside."""
        parts: list[Part] = []
        inside = False
        start = 0
        while start < len(self.exchanges):
            end, fitting = start, None
            while end < len(self.exchanges):
                more = self._if_it_fits(self.exchanges[start : end + 1])
                if more is None:
                    break
                end, fitting = end + 1, more
            if fitting is None:
                parts += self._inside(self.exchanges[start], 0).parts
                inside, end = True, start + 1
            parts += fitting or []
            start = end
        return Fitted([part for part in parts if learned(part.example)], inside=inside)

    def _if_it_fits(self, kept: list[Messages]) -> list[Part] | None:
        parts = self._render([*self.head, *(message for exchange in kept for message in exchange)])
        return parts if self.cutter.fits(parts) else None

    def _render(self, messages: Messages) -> list[Part]:
        return self.cutter.render(messages, self.row, last=self.part.only_last)

    def _inside(self, exchange: Messages, left_out: int) -> Fitted:
        """A single exchange: first its question is shortened, to no less than half of the limit, then its answer."""
        limit, policy = self.cutter.limit, self.cutter.policy
        found: list[Part] = []
        whole = self._render([*self.head, *exchange])
        if self.cutter.fits(whole):
            return Fitted(whole, turns_left_out=left_out)
        for part in self._shortened([*self.head, *exchange], whole):
            if part.length <= limit:
                found.append(part)
            elif policy == "split":
                found += windows(part, limit, context=max(1, limit // 4))
            else:
                start = part.example.spans[0][0] if part.example.spans else limit
                room = limit - start
                found += [_bridged(part, start + ((room + 1) // 2 if policy == "middle" else 0), limit)]
        return Fitted(found, turns_left_out=left_out, inside=True)

    def _shortened(self, messages: Messages, parts: list[Part]) -> list[Part]:
        """Questions, longest first, cut until the answer has its share of the limit.

        All is left as it is where even that would not do and the answer has a quarter of the limit; where it has
        less, the system message is cut too.
        """
        whole = parts
        order = sorted(
            (place for place, told in enumerate(messages) if _can_shorten(told)),
            key=lambda place: (messages[place]["role"] in _SYSTEM, -len(messages[place]["content"])),
        )
        for place in order:
            if self._reaches(parts, whole):
                return parts
            if messages[place]["role"] in _SYSTEM and self._leaves_room(whole):
                return whole
            messages, parts = self._shorten(messages, place, self._target(whole))
        return parts if not self._leaves_room(whole) or self._reaches(parts, whole) else whole

    def _leaves_room(self, parts: Sequence[Part]) -> bool:
        """Whether a quarter of the limit is left after every prompt."""
        starts = (part.example.spans[0][0] for part in parts if part.example.spans)
        return max(starts, default=0) <= self.cutter.limit * 3 // 4

    def _reaches(self, parts: Sequence[Part], whole: Sequence[Part]) -> bool:
        return max(part.length for part in parts) <= self._target(whole)

    def _target(self, parts: Sequence[Part]) -> int:
        """How long the whole may be before its answer is cut: questions may take what answers leave, or half."""
        longest = max(parts, key=lambda part: part.length)
        answers = sum(end - start for start, end in longest.example.spans)
        limit = self.cutter.limit
        return answers + max(limit - answers, min(longest.length - answers, limit // 2))

    def _shorten(self, messages: Messages, place: int, target: int) -> tuple[Messages, list[Part]]:
        """The most of message ``place`` with which the whole has ``target`` tokens; else one letter of it."""
        content: str = messages[place]["content"]
        low, high = 1, len(content)
        while low < high:
            middle = (low + high + 1) // 2
            parts = self._render(self._with(messages, place, _kept(content, middle, self.cutter.policy)))
            if max(part.length for part in parts) <= target:
                low = middle
            else:
                high = middle - 1
        changed = self._with(messages, place, _kept(content, low, self.cutter.policy))
        return changed, self._render(changed)

    def _with(self, messages: Messages, place: int, content: str) -> Messages:
        return [*messages[:place], {**messages[place], "content": content}, *messages[place + 1 :]]


def exchanges(messages: Messages) -> list[Messages]:
    """Messages in exchanges: each begins where a user speaks after somebody else."""
    found: list[Messages] = []
    before = None
    for message in messages:
        if not found or (message.get("role") == "user" and before != "user"):
            found.append([])
        found[-1].append(message)
        before = message.get("role")
    return found


def windows(part: Part, limit: int, *, context: int) -> list[Part]:
    """Stretches of at most ``limit`` tokens that together teach every learned token once.

    Each after the first begins with at least ``context`` tokens that were taught before and are not taught again.
    """
    if limit < 2:
        return []
    count = part.length
    context = min(context, limit - 1)
    found: list[Part] = []
    place = _next_learned(part.example, 1)
    while place is not None:
        start = 0 if not found and place < limit else max(0, min(place - context, count - limit))
        end = min(count, start + limit)
        found.append(_taken(part, [(start, end)], teach_from=place))
        place = _next_learned(part.example, end)
    return found


def mask_spans(mask: Sequence[bool]) -> tuple[tuple[int, int], ...]:
    """The [start, end) of every stretch of true."""
    spans, place = [], 0
    for own, items in groupby(mask):
        length = sum(1 for _ in items)
        if own:
            spans.append((place, place + length))
        place += length
    return tuple(spans)


def _next_learned(example: EncodedExample, place: int) -> int | None:
    for start, end in example.spans:
        if end > place:
            return max(start, place)
    return None


def _bridged(part: Part, head: int, limit: int) -> Part:
    """The first ``head`` tokens and the last ones that fit beside them."""
    head = min(head, limit)
    tail = part.length - (limit - head)
    return _taken(part, [(0, head), (tail, part.length)])


def _taken(part: Part, pieces: list[tuple[int, int]], *, teach_from: int = 0) -> Part:
    """The stretches ``pieces``, end to end; neither what stands before ``teach_from`` is learned nor what follows
    a gap.
    """
    pieces = [(start, end) for start, end in pieces if end > start]
    ids = array("i")
    spans: list[tuple[int, int]] = []
    for number, (start, end) in enumerate(pieces):
        first = max(start + (number > 0), teach_from)
        shift = len(ids) - start
        for left, right in part.example.spans:
            left, right = max(left, first), min(right, end)
            if left < right:
                spans.append((left + shift, right + shift))
        ids += part.example.ids[start:end]
    return replace(part, example=EncodedExample(ids, tuple(spans)), windows=tuple(pieces))


def _fewest_left_out(
    starts: range, try_from: Callable[[int], list[Part] | None]
) -> tuple[int, list[Part]] | None:
    """The first start from which the rest fits; the later the start the shorter the rest."""
    low, high, best = starts.start, starts.stop - 1, None
    while low <= high:
        middle = (low + high) // 2
        parts = try_from(middle)
        if parts is None:
            low = middle + 1
        else:
            best, high = (middle, parts), middle - 1
    return best


def _count(kept: Sequence[Messages]) -> int:
    return sum(len(exchange) for exchange in kept)


def _can_shorten(message: dict[str, Any]) -> bool:
    content = message.get("content")
    return message.get("role") != "assistant" and isinstance(content, str) and len(content) > 1


def _kept(content: str, letters: int, policy: OverLength) -> str:
    """``letters`` of ``content``: its end, or with the other policies its beginning and its end."""
    if policy == "left":
        return content[len(content) - letters :]
    head = (letters + 1) // 2
    return content[:head] + content[len(content) - (letters - head) :]
