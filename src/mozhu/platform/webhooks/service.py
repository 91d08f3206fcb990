"""Webhooks: each event goes to whoever asked for it, at least once, until it is taken or was tried often enough."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from mozhu.kernel.errors import ForbiddenAddress, UnknownEvents, UnknownWebhook
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.accounts.subject import Subject, subject_named
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables_server import WebhookRow
from mozhu.platform.webhooks import rows
from mozhu.platform.webhooks.sending import SIGNATURE, Answer, check_url, send, signature
from mozhu.platform.webhooks.views import EVERYTHING, DeliveryView, Due, WebhookView

# Seconds until the next try; after the last one the delivery has failed.
WAITS_S = (10, 60, 300, 1800, 7200, 21600)
_LEASE = timedelta(seconds=60)
_AT_ONCE = 20


class Webhooks:
    """The webhooks of one installation.

    Args:
        known: The names of the events there are.
        private: Whether addresses of the own network may be sent to.
        subject_of: The subject behind a webhook's owner, given the name and the teams that they last had here; a
            webhook tells what that subject may read at the time of sending.
    """

    def __init__(
        self,
        database: Database,
        known: Sequence[str],
        *,
        private: bool = False,
        subject_of: rows.SubjectOf = subject_named,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._known = tuple(sorted(known))
        self._private = private
        self._subject_of = subject_of
        self._clock = clock

    def add(self, subject: Subject, url: str, events: Sequence[str]) -> WebhookView:
        """A webhook that gets the events from now on; its secret is told this once.

        Raises:
            ForbiddenAddress: HOOK-002. UnknownEvents: HOOK-003.
        """
        unknown = [name for name in events if name != EVERYTHING and name not in self._known]
        if unknown:
            raise UnknownEvents(unknown=unknown, known=list(self._known))
        check_url(url, private=self._private)
        self._follow(subject)
        secret = f"whsec_{secrets.token_urlsafe(32)}"
        with self._database.writing() as session:
            row = WebhookRow(
                id=secrets.token_urlsafe(12),
                owner=subject.user,
                url=url,
                events=sorted(set(events)),
                secret=secret,
                active=True,
                seen=rows.newest_event(session),
                teams=list(subject.teams),
                created=iso_time(self._clock()),
            )
            session.add(row)
            session.flush()
            return rows.view(row, secret)

    def show(self, subject: Subject, webhook_id: str) -> WebhookView:
        """
        Raises:
            UnknownWebhook: HOOK-001, also for one of somebody else.
        """
        self._follow(subject)
        with self._database.reading() as session:
            return rows.view(self._row(rows.webhook(session, webhook_id, self._owner(subject)), webhook_id))

    def remove(self, subject: Subject, webhook_id: str) -> None:
        """It is gone with its history.

        Raises:
            UnknownWebhook: HOOK-001.
        """
        with self._database.writing() as session:
            self._row(rows.webhook(session, webhook_id, self._owner(subject)), webhook_id)
            rows.remove(session, webhook_id)

    def history(
        self, subject: Subject, webhook_id: str, before: int | None = None, limit: int = 50
    ) -> list[DeliveryView]:
        """What was sent, newest first.

        Raises:
            UnknownWebhook: HOOK-001.
        """
        with self._database.reading() as session:
            self._row(rows.webhook(session, webhook_id, self._owner(subject)), webhook_id)
            return rows.deliveries(session, webhook_id, before, limit)

    def deliver(self) -> int:
        """What happened is on its way to whoever asked for it, and what is due was tried once; how many were."""
        now = self._clock()
        with self._database.reading() as session:
            news, due = rows.has_news(session), rows.has_due(session, iso_time(now))
        if not news and not due:
            return 0
        with self._database.writing() as session:
            rows.make_deliveries(session, iso_time(now), self._subject_of)
            session.flush()
            until = iso_time(now + _LEASE)
            taken = rows.take_due(session, iso_time(now), until, _AT_ONCE, self._subject_of)
        for each in taken:
            self._record(each, self._sent(each))
        return len(taken)

    def list(self, subject: Subject) -> list[WebhookView]:
        """The webhooks of ``subject``, oldest first; they know the teams that ``subject`` has now."""
        self._follow(subject)
        with self._database.reading() as session:
            return rows.webhooks(session, self._owner(subject))

    def _sent(self, due: Due) -> Answer:
        body = json.dumps(due.event, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "mozhu-webhook",
            "Mozhu-Event": str(due.event["what"]),
            "Mozhu-Delivery": str(due.id),
            SIGNATURE: signature(due.secret, int(self._clock().timestamp()), body),
        }
        try:
            return send(due.url, headers, body, private=self._private)
        except ForbiddenAddress as error:
            return Answer(None, error.what[:300])

    def _record(self, due: Due, answer: Answer) -> None:
        now = self._clock()
        is_last = due.attempts >= len(WAITS_S)
        state = "delivered" if answer.is_delivered else ("failed" if is_last else "waiting")
        wait = 0 if is_last else WAITS_S[due.attempts]
        with self._database.writing() as session:
            rows.record_attempt(
                session,
                due.id,
                state=state,
                due=iso_time(now + timedelta(seconds=wait)),
                ended=None if state == "waiting" else iso_time(now),
                status=answer.status,
                reason=answer.reason,
            )

    def _follow(self, subject: Subject) -> None:
        """The webhooks of ``subject`` know their teams of today."""
        with self._database.reading() as session:
            if not rows.has_other_teams(session, subject):
                return
        with self._database.writing() as session:
            rows.set_teams(session, subject)

    def _owner(self, subject: Subject) -> str | None:
        return None if subject.is_admin else subject.user

    def _row(self, row: WebhookRow | None, webhook_id: str) -> WebhookRow:
        if row is None:
            raise UnknownWebhook(webhook=webhook_id)
        return row
