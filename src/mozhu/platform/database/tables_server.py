"""The tables of the service: answers that are given again, webhooks and what was sent to them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from mozhu.platform.database.tables import Table


class ReplayRow(Table):
    """A request that was made under a key; ``status`` is null while it is carried out."""

    __tablename__ = "idempotency"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    route: Mapped[str] = mapped_column(String(300))
    content: Mapped[str] = mapped_column(String(64))
    begun: Mapped[str] = mapped_column(String(24))
    expires: Mapped[str] = mapped_column(String(24))
    status: Mapped[int | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    media_type: Mapped[str] = mapped_column(String(100), default="")

    __table_args__ = (Index("ix_idempotency_expires", "expires"),)


class WebhookRow(Table):
    """Where events are sent; ``seen`` is the number of the last event that deliveries were made of.

    ``teams`` are those of the owner when they last asked for their webhooks.
    """

    __tablename__ = "webhooks"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    url: Mapped[str] = mapped_column(String(2000))
    events: Mapped[list[str]] = mapped_column(JSON)
    secret: Mapped[str] = mapped_column(String(200))
    active: Mapped[bool]
    seen: Mapped[int]
    teams: Mapped[list[str]] = mapped_column(JSON, server_default="[]")
    created: Mapped[str] = mapped_column(String(24))


class DeliveryRow(Table):
    """One event for one webhook. ``state``: ``waiting``, ``delivered`` or ``failed`` (tried often enough).

    ``due`` is when it is tried next; who tries it puts it off first, so that no other does.
    """

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook_id: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event: Mapped[dict[str, Any]]
    what: Mapped[str] = mapped_column(String(60))
    state: Mapped[str] = mapped_column(String(20))
    attempts: Mapped[int]
    due: Mapped[str] = mapped_column(String(24))
    created: Mapped[str] = mapped_column(String(24))
    ended: Mapped[str | None] = mapped_column(String(24))
    status: Mapped[int | None]
    reason: Mapped[str] = mapped_column(String(500))

    __table_args__ = (
        Index("ix_deliveries_state_due", "state", "due"),
        Index("ix_deliveries_webhook_id_id", "webhook_id", "id"),
    )
