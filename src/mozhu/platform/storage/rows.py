"""The only SQL of contents."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mozhu.platform.database.portable import put_all
from mozhu.platform.database.tables_uploads import BlobRow


def blob(session: Session, digest: str) -> BlobRow | None:
    return session.get(BlobRow, digest)


def record_blob(session: Session, digest: str, size: int, now: str) -> None:
    """The content is known to be whole in the store, as of ``now``."""
    there = session.get(BlobRow, digest)
    created = there.created if there else now
    session.merge(BlobRow(sha256=digest, size=size, created=created, verified=now))


def record_blobs(session: Session, contents: Iterable[tuple[str, int]], now: str) -> None:
    """As :func:`record_blob`, of several contents in one statement: each a digest and a size."""
    rows = [
        {"sha256": digest, "size": size, "created": now, "verified": now}
        for digest, size in dict(contents).items()
    ]
    put_all(session, BlobRow, rows, changed=("size", "verified"))


def blobs(session: Session) -> Iterator[BlobRow]:
    yield from session.scalars(select(BlobRow).order_by(BlobRow.sha256))


def forget_blob(session: Session, digest: str) -> None:
    session.execute(delete(BlobRow).where(BlobRow.sha256 == digest))
