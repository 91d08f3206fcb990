"""Server-sent events, line by line, and where a broken stream goes on."""

from __future__ import annotations

import json
from typing import cast

from mozhu.specs.wire.events import EventWire
from mozhu.specs.wire.place import PREFIX


class EventLines:
    """Takes the lines of a stream and gives its events; remembers the last one for the next connection."""

    def __init__(self, after: int | None) -> None:
        self.last = after
        self._data: list[str] = []

    @property
    def url(self) -> str:
        return f"{PREFIX}/events"

    def headers(self) -> dict[str, str]:
        return {"Accept": "text/event-stream"} | (
            {} if self.last is None else {"Last-Event-ID": str(self.last)}
        )

    def feed(self, line: str) -> EventWire | None:
        """The event that ends with ``line``, where one does."""
        name, _, value = line.partition(":")
        if name == "data" and line:
            self._data.append(value.removeprefix(" "))
        if line or not self._data:
            return None
        event = cast(EventWire, json.loads("\n".join(self._data)))
        self._data = []
        self.last = event["id"]
        return event
