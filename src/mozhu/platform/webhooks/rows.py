"""The only SQL of webhooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from mozhu.kernel.texts import text
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.access import readable_history
from mozhu.platform.catalog.events import told
from mozhu.platform.database.tables import History
from mozhu.platform.database.tables_server import DeliveryRow, WebhookRow
from mozhu.platform.webhooks.views import EVERYTHING, DeliveryView, Due, WebhookView

_EVENTS_AT_ONCE = 500
SubjectOf = Callable[[str, Sequence[str]], Subject]


def webhooks(session: Session, owner: str | None) -> list[WebhookView]:
    """Oldest first; of everyone where ``owner`` is None."""
    query = select(WebhookRow).order_by(WebhookRow.created, WebhookRow.id)
    query = query if owner is None else query.where(WebhookRow.owner == owner)
    return [view(row) for row in session.scalars(query)]


def webhook(session: Session, webhook_id: str, owner: str | None) -> WebhookRow | None:
    row = session.get(WebhookRow, webhook_id)
    return row if row is not None and owner in (None, row.owner) else None


def has_other_teams(session: Session, subject: Subject) -> bool:
    """Whether a webhook of ``subject`` does not know their teams of today."""
    known = session.scalars(select(WebhookRow.teams).where(WebhookRow.owner == subject.user))
    return any(teams != list(subject.teams) for teams in known)


def set_teams(session: Session, subject: Subject) -> None:
    mine = update(WebhookRow).where(WebhookRow.owner == subject.user)
    session.execute(mine.values(teams=list(subject.teams)))


def newest_event(session: Session) -> int:
    return session.scalar(select(func.max(History.id))) or 0


def remove(session: Session, webhook_id: str) -> None:
    session.execute(delete(DeliveryRow).where(DeliveryRow.webhook_id == webhook_id))
    session.execute(delete(WebhookRow).where(WebhookRow.id == webhook_id))


def has_news(session: Session) -> bool:
    """Whether some active webhook has not seen the newest event."""
    newest = newest_event(session)
    behind = select(WebhookRow.id).where(WebhookRow.active, WebhookRow.seen < newest).limit(1)
    return session.scalar(behind) is not None


def make_deliveries(session: Session, now: str, subject_of: SubjectOf) -> int:
    """Each event that a webhook has not seen, wants, and whose owner may read becomes a delivery; how many."""
    made = 0
    for row in session.scalars(select(WebhookRow).where(WebhookRow.active)):
        query = select(History).where(History.id > row.seen).order_by(History.id).limit(_EVENTS_AT_ONCE)
        lines = list(session.scalars(query))
        subject = subject_of(row.owner, row.teams)
        readable = _readable(session, subject, [line.id for line in lines])
        for line in lines:
            row.seen = line.id
            if line.id not in readable:
                continue
            if EVERYTHING in row.events or line.what in row.events:
                session.add(_delivery(row.id, line, now, subject))
                made += 1
    return made


def take_due(session: Session, now: str, until: str, limit: int, subject_of: SubjectOf) -> list[Due]:
    """Deliveries whose time has come, put off to ``until`` so that nobody else takes them meanwhile.

    What a webhook's owner may not read any more has failed.
    """
    query = (
        select(DeliveryRow, WebhookRow)
        .join(WebhookRow, WebhookRow.id == DeliveryRow.webhook_id)
        .where(DeliveryRow.state == "waiting", DeliveryRow.due <= now, WebhookRow.active)
        .order_by(DeliveryRow.due, DeliveryRow.id)
        .limit(limit)
    )
    found = []
    for delivery, hook in session.execute(query).all():
        event = int(delivery.event["id"])
        if event not in _readable(session, subject_of(hook.owner, hook.teams), [event]):
            delivery.state, delivery.ended, delivery.reason = "failed", now, text("hook.not_readable")
            continue
        delivery.due = until
        found.append(Due(delivery.id, hook.id, hook.url, hook.secret, delivery.event, delivery.attempts))
    return found


def has_due(session: Session, now: str) -> bool:
    query = select(DeliveryRow.id).where(DeliveryRow.state == "waiting", DeliveryRow.due <= now).limit(1)
    return session.scalar(query) is not None


def record_attempt(session: Session, delivery_id: int, **values: Any) -> None:
    counted = {"attempts": DeliveryRow.attempts + 1, **values}
    session.execute(update(DeliveryRow).where(DeliveryRow.id == delivery_id).values(counted))


def deliveries(session: Session, webhook_id: str, before: int | None, limit: int) -> list[DeliveryView]:
    """Newest first, those with a smaller number than ``before``."""
    query = select(DeliveryRow).where(DeliveryRow.webhook_id == webhook_id)
    query = query if before is None else query.where(DeliveryRow.id < before)
    return [
        DeliveryView(
            id=row.id,
            webhook_id=row.webhook_id,
            event_id=int(row.event["id"]),
            what=row.what,
            state=row.state,
            attempts=row.attempts,
            due=row.due,
            created=row.created,
            ended=row.ended,
            status=row.status,
            reason=row.reason,
        )
        for row in session.scalars(query.order_by(DeliveryRow.id.desc()).limit(limit))
    ]


def _readable(session: Session, subject: Subject, events: Iterable[int]) -> set[int]:
    """Those of ``events`` that ``subject`` may be told of now."""
    may = History.id.in_(list(events)), readable_history(subject)
    return set(session.scalars(select(History.id).where(*may)))


def view(row: WebhookRow, secret: str | None = None) -> WebhookView:
    return WebhookView(row.id, row.owner, row.url, tuple(row.events), row.active, row.created, secret)


def _delivery(webhook_id: str, line: History, now: str, subject: Subject) -> DeliveryRow:
    event = {
        "id": line.id,
        "time": line.time,
        "what": line.what,
        "subject": line.subject,
        "model": line.model,
        "version": line.version,
        "details": told(line.details, subject),
    }
    return DeliveryRow(
        webhook_id=webhook_id,
        event=event,
        what=line.what,
        state="waiting",
        attempts=0,
        due=now,
        created=now,
        ended=None,
        status=None,
        reason="",
    )
