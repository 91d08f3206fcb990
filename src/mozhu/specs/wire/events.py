"""What happened, on the wire."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class EventWire(TypedDict):
    """``id`` grows with time; ``subject`` says whether ``model`` names a model or a data set."""

    id: int
    time: str
    what: str
    subject: str
    model: str
    version: str
    details: dict[str, Any]


class EventsPage(TypedDict):
    """Oldest first; ``next`` is the id to go on after."""

    items: list[EventWire]
    next: int
