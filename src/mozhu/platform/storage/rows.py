"""The only SQL of contents."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mozhu.platform.database.tables_uploads import BlobRow


def blob(session: Session, digest: str) -> BlobRow | None:
    return session.get(BlobRow, digest)


def record_blob(session: Session, digest: str, size: int, now: str) -> None:
    """The content is known to be whole in the store, as of ``now``."""
    there = session.get(BlobRow, digest)
    created = there.created if there else now
    session.merge(BlobRow(sha256=digest, size=size, created=created, verified=now))


def blobs(session: Session) -> Iterator[BlobRow]:
    yield from session.scalars(select(BlobRow).order_by(BlobRow.sha256))


def forget_blob(session: Session, digest: str) -> None:
    session.execute(delete(BlobRow).where(BlobRow.sha256 == digest))
