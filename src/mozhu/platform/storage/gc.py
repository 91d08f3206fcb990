"""The collection of garbage: contents that nobody needs are gone, and their bytes come back.

A content is collected when no version and no upload holds it and it has been there for longer than the grace period,
so that what is just coming in stays. It is looked at again in the transaction that takes it away, in which nobody else
adds or removes contents.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mozhu.platform.database.engine import CATALOGUE_ROOM, Database
from mozhu.platform.storage import rows
from mozhu.platform.storage.blobs import Blob, BlobStore
from mozhu.platform.storage.held import Holders, Progress, no_progress

_BATCH = 200


@dataclass(frozen=True)
class Collected:
    """``returned_bytes`` are those that the disk or the bucket has back; a link elsewhere keeps its bytes."""

    blobs: int = 0
    returned_bytes: int = 0
    kept_young: int = 0
    uploads_expired: int = 0
    versions_purged: int = 0
    leftover_bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def collect(
    database: Database,
    store: BlobStore,
    holders: Holders,
    *,
    grace_s: float,
    keep: bool = False,
    now: float | None = None,
    on_progress: Progress = no_progress,
) -> Collected:
    """What nobody holds is gone from the store and from the rows.

    Args:
        grace_s: How long a content without a holder stays.
        keep: Only tell what would go.
        now: The time in seconds since 1970, injected in tests.
    """
    before = (time.time() if now is None else now) - grace_s
    with database.reading() as session:
        held = {item.digest for item in holders(session)}
    free = [blob for blob in store.list() if blob.digest not in held]
    old = [blob for blob in free if blob.modified <= before]
    young = len(free) - len(old)
    gone: list[Blob] = []
    for first in range(0, len(old), _BATCH):
        batch = old[first : first + _BATCH]
        gone += batch if keep else _take_away(database, store, holders, batch)
        on_progress(min(first + _BATCH, len(old)), len(old))
    if not keep:
        _forget_rows(database, store, holders)
    returned = sum(blob.size for blob in gone if blob.links == 1)
    return Collected(blobs=len(gone), returned_bytes=returned, kept_young=young)


def _take_away(database: Database, store: BlobStore, holders: Holders, batch: Sequence[Blob]) -> list[Blob]:
    """Those of ``batch`` that nobody has come to hold meanwhile. The row goes first: a content without a row is
    found by the next collection, a row without a content would promise what is not there.
    """
    with database.writing(room=CATALOGUE_ROOM) as session:
        held = {item.digest for item in holders(session)}
        free = [blob for blob in batch if blob.digest not in held]
        for blob in free:
            rows.forget_blob(session, blob.digest)
        session.flush()
        for blob in free:
            store.delete(blob.digest)
    return free


def _forget_rows(database: Database, store: BlobStore, holders: Holders) -> None:
    """Rows of contents that are gone and that nobody holds."""
    with database.reading() as session:
        held = {item.digest for item in holders(session)}
        known = [row.sha256 for row in rows.blobs(session) if row.sha256 not in held]
    lost = [digest for digest in known if store.stat(digest) is None]
    if lost:
        with database.writing(room=CATALOGUE_ROOM) as session:
            for digest in lost:
                if store.stat(digest) is None:
                    rows.forget_blob(session, digest)
