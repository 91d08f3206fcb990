"""A request under a key is carried out once; whoever repeats it gets the answer that it had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, update

from mozhu.kernel.errors import KeyUsedOtherwise, SameRequestRuns
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables_server import ReplayRow

_KEPT = timedelta(hours=24)
# A request that has not ended after this long has died with its process.
_LEASE = timedelta(minutes=10)


@dataclass(frozen=True)
class Replay:
    """An answer as it was given."""

    status: int
    body: bytes
    media_type: str


class Replays:
    """The keys of one installation, shared by its processes."""

    def __init__(self, database: Database, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    def begin(self, subject: Subject, key: str, route: str, content: str) -> Replay | None:
        """The answer of the same request before; ``None`` where it is to be carried out now.

        Raises:
            KeyUsedOtherwise: API-008. SameRequestRuns: API-009.
        """
        now = self._clock()
        with self._database.writing() as session:
            session.execute(delete(ReplayRow).where(ReplayRow.expires < iso_time(now)))
            row = session.get(ReplayRow, (key, subject.user))
            if row is None:
                session.add(
                    ReplayRow(
                        key=key,
                        subject=subject.user,
                        route=route,
                        content=content,
                        begun=iso_time(now),
                        expires=iso_time(now + _KEPT),
                        status=None,
                        body=None,
                        media_type="",
                    )
                )
                return None
            if (row.route, row.content) != (route, content):
                raise KeyUsedOtherwise(key=key)
            if row.status is not None:
                return Replay(row.status, row.body or b"", row.media_type)
            if row.begun > iso_time(now - _LEASE):
                raise SameRequestRuns(key=key)
            row.begun = iso_time(now)
            return None

    def end(self, subject: Subject, key: str, answer: Replay) -> None:
        """From now on ``answer`` is what the key gives."""
        with self._database.writing() as session:
            mine = (ReplayRow.key == key) & (ReplayRow.subject == subject.user)
            session.execute(
                update(ReplayRow)
                .where(mine)
                .values(status=answer.status, body=answer.body, media_type=answer.media_type)
            )

    def forget(self, subject: Subject, key: str) -> None:
        """The request did not end; it may be made anew."""
        with self._database.writing() as session:
            mine = (ReplayRow.key == key) & (ReplayRow.subject == subject.user)
            session.execute(delete(ReplayRow).where(mine, ReplayRow.status.is_(None)))
