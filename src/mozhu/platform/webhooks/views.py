"""What is said of webhooks and of what was sent to them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

EVERYTHING = "*"


@dataclass(frozen=True)
class WebhookView:
    """``secret`` is told once, when it is made."""

    id: str
    owner: str
    url: str
    events: tuple[str, ...]
    active: bool
    created: str
    secret: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "events": list(self.events)}


@dataclass(frozen=True)
class DeliveryView:
    id: int
    webhook_id: str
    event_id: int
    what: str
    state: str
    attempts: int
    due: str
    created: str
    ended: str | None
    status: int | None
    reason: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Due:
    """A delivery that is to be tried now."""

    id: int
    webhook_id: str
    url: str
    secret: str
    event: dict[str, Any]
    attempts: int
