"""Who wrote which characters of a rendered conversation, found by comparing renders and never by guessing.

Each message's content is replaced by a mark and rendered again: what stands in the first text where the mark
stands in the second is that message's content. So any template is read, also one that moves the system prompt
into the first question, or trims, or drops earlier thoughts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mozhu.engine.weights.jinja import Messages, Tools
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import RefusedConversation

_MARK = "Ωmozhuω"
_FIELDS = ("content", "reasoning_content", "thinking", "reasoning")


@dataclass(frozen=True)
class Span:
    """Characters ``start`` to ``end`` are content of message ``turn`` (from 1; 0: the template's own words).

    ``role``: ``system``, ``user``, ``assistant``, ``thinking``, ``tool``, ``tools`` (their descriptions) or
    ``inserted`` (a system prompt that the template puts in itself).
    """

    start: int
    end: int
    role: str
    turn: int


def role_spans(
    renderer: Renderer, messages: Messages, tools: Tools | None, whole: str, *, prompt: bool = False
) -> list[Span]:
    """The spans of ``whole``, which is the render of ``messages``; earlier ones count where two overlap."""
    spans: list[Span] = []
    for number, message in enumerate(messages, start=1):
        for name in _FIELDS:
            content = message.get(name)
            if not isinstance(content, str) or not content.strip():
                continue
            marked = [dict(told) for told in messages]
            marked[number - 1][name] = _MARK
            found = _replaced(renderer, marked, tools, whole, prompt)
            if found:
                role = str(message.get("role", "")) if name == "content" else "thinking"
                spans.append(Span(*found, role, number))
    spans += _inserted(renderer, messages, tools, whole, prompt)
    return spans + _tools(renderer, messages, tools, whole, prompt)


def _inserted(
    renderer: Renderer, messages: Messages, tools: Tools | None, whole: str, prompt: bool
) -> list[Span]:
    if not messages or messages[0].get("role") == "system":
        return []
    marked = [{"role": "system", "content": _MARK}, *messages]
    found = _replaced(renderer, marked, tools, whole, prompt)
    return [Span(*found, "inserted", 0)] if found else []


def _tools(
    renderer: Renderer, messages: Messages, tools: Tools | None, whole: str, prompt: bool
) -> list[Span]:
    """What is written only because there are tools."""
    if not tools:
        return []
    try:
        bare = renderer.text(messages, None, prompt=prompt)
    except RefusedConversation:
        return []
    start = _common(bare, whole)
    end = _common(bare[start:][::-1], whole[start:][::-1])
    return [Span(start, len(whole) - end, "tools", 0)] if len(whole) - end > start else []


def _replaced(
    renderer: Renderer,
    marked: Sequence[Mapping[str, Any]],
    tools: Tools | None,
    whole: str,
    prompt: bool,
) -> tuple[int, int] | None:
    """What stands in ``whole`` in the place of the mark; ``None`` where the mark changes other text too."""
    try:
        text = renderer.text(marked, tools, prompt=prompt)
    except RefusedConversation:
        return None
    before, found, after = text.partition(_MARK)
    start, end = len(before), len(whole) - len(after)
    if not found or end <= start or not whole.startswith(before) or not whole.endswith(after):
        return None
    return start, end


def _common(left: str, right: str) -> int:
    """How many characters two texts begin with alike."""
    for place, (one, two) in enumerate(zip(left, right, strict=False)):
        if one != two:
            return place
    return min(len(left), len(right))
