"""Webhooks on the wire."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict


class NewWebhook(BaseModel):
    """Where to, and which events; `*` means all of them."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=2000)
    events: list[str] = Field(default=["*"], min_length=1, max_length=50)


class WebhookWire(TypedDict):
    """`secret` signs what is sent; it is told once, when the webhook is made, and null afterwards."""

    id: str
    owner: str
    url: str
    events: list[str]
    active: bool
    created: str
    secret: str | None


class WebhooksList(TypedDict):
    items: list[WebhookWire]


class DeliveryWire(TypedDict):
    """`state`: waiting, delivered or failed; `due` is when it is tried next."""

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


class DeliveriesPage(TypedDict):
    """Newest first; `next` is the id to go on before, null on the last page."""

    items: list[DeliveryWire]
    next: int | None
