"""What a chat is given and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Messages = Sequence[dict[str, Any]]
OnText = Callable[[str], None]


@dataclass(frozen=True)
class Answer:
    """``stopped`` is true when the model ended its turn by itself, false when it ran into the limit.

    ``scores``: of a model that scores, the probability of each class or ``reward``; ``text`` is the class then.
    """

    text: str
    tokens: int
    stopped: bool
    scores: dict[str, float] | None = None


def with_system(messages: Messages, system: str | None) -> Messages:
    """``messages`` with ``system`` in front, unless they bring their own."""
    if not system or (messages and messages[0].get("role") == "system"):
        return messages
    return [{"role": "system", "content": system}, *messages]
