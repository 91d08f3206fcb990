"""The check of the store: every content is read and hashed, and held against the rows and the versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import human_size, sha256_file
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.platform.database.engine import CATALOGUE_ROOM, Database
from mozhu.platform.storage import rows
from mozhu.platform.storage.blobs import Blob, BlobStore, read_digest
from mozhu.platform.storage.held import Held, Holders, Progress, no_progress
from mozhu.platform.storage.local import LocalBlobs, read_file

# damaged: other bytes than its name says; size: another size than a holder says; missing: held and not there;
# orphan: there and held by nobody; row: recorded and not there; unrecorded: held, sound and without a row;
# unreadable: the store does not give it; stranger: a file whose name is no hash; card: of a model or data set, which
# says something else than its rows; dataset: a version whose folder is not as it was registered.
_BATCH = 200
_ERRORS = ("damaged", "size", "missing", "unreadable", "dataset")


@dataclass(frozen=True)
class Finding:
    """``holders`` are the versions that are hurt; ``repaired`` says what was done about it."""

    code: str
    digest: str
    holders: tuple[str, ...] = ()
    found: str = ""
    repaired: str = ""

    @property
    def level(self) -> str:
        return "error" if self.code in _ERRORS else "warning"

    def line(self) -> str:
        words = text(f"storage.finding.{self.code}", digest=self.digest, found=self.found)
        if self.holders:
            words += text(
                "storage.finding.holders", holders=", ".join(self.holders[:5]), count=len(self.holders)
            )
        return words + (f" → {self.repaired}" if self.repaired else "")

    def to_json(self) -> dict[str, Any]:
        return {
            "code": self.code,
            "level": self.level,
            "digest": self.digest,
            "holders": list(self.holders),
            "found": self.found,
            "repaired": self.repaired,
            "message": self.line(),
        }


@dataclass(frozen=True)
class StoreReport:
    store: str
    blobs: int
    size_bytes: int
    findings: tuple[Finding, ...]

    @property
    def open_findings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if not finding.repaired)

    @property
    def exit_code(self) -> int:
        """0, or 3 (data) where something is wrong and was not put right."""
        return 3 if self.open_findings else 0

    def to_json(self) -> dict[str, Any]:
        return {
            "store": self.store,
            "blobs": self.blobs,
            "size_bytes": self.size_bytes,
            "size": human_size(self.size_bytes),
            "is_sound": not self.open_findings,
            "findings": [finding.to_json() for finding in self.findings],
        }


def check_store(
    database: Database,
    store: BlobStore,
    holders: Holders,
    *,
    grace_s: float,
    repair: bool = False,
    now: float | None = None,
    on_progress: Progress = no_progress,
) -> StoreReport:
    """Everything that is wrong with the store, each content read from its first byte to its last.

    Args:
        grace_s: How long a content without a holder may be there: it may be coming in.
        repair: What nobody holds goes into quarantine, rows follow what is there, and what is damaged or missing is
            taken from a version's own folder where its file is sound. Nothing is removed.
        on_progress: Told of the bytes that were read, and of how many there are.
    """
    before = (time.time() if now is None else now) - grace_s
    with database.reading() as session:
        held = _by_digest(holders(session))
        recorded = {row.sha256: row.size for row in rows.blobs(session)}
    there = {blob.digest: blob for blob in store.list()}
    total, done, findings = sum(blob.size for blob in there.values()), 0, []
    for blob in there.values():
        findings += list(_content(store, blob, held.get(blob.digest, []), blob.digest in recorded, before))
        done += blob.size
        on_progress(done, total)
    findings += [
        Finding("missing", digest, _names(items)) for digest, items in held.items() if digest not in there
    ]
    findings += [Finding("row", name) for name in recorded if name not in there and name not in held]
    if isinstance(store, LocalBlobs):
        findings += [Finding("stranger", name) for name in store.strangers()]
    if repair:
        findings = _repaired(database, store, holders, held, findings)
    return StoreReport(store.name, len(there), total, tuple(findings))


def _content(
    store: BlobStore, blob: Blob, items: list[Held], is_recorded: bool, before: float
) -> Iterator[Finding]:
    try:
        found, _ = read_digest(store.open(blob.digest))
    except MozhuError as error:
        yield Finding("unreadable", blob.digest, _names(items), error.what)
        return
    if found != blob.digest:
        yield Finding("damaged", blob.digest, _names(items), found)
    elif wrong := [item for item in items if item.size not in (None, blob.size)]:
        yield Finding("size", blob.digest, _names(wrong), f"{blob.size}, {wrong[0].size}")
    elif not items and blob.modified <= before:
        yield Finding("orphan", blob.digest, (), human_size(blob.size))
    elif items and not is_recorded:
        yield Finding("unrecorded", blob.digest, _names(items))


def _repaired(
    database: Database,
    store: BlobStore,
    holders: Holders,
    held: dict[str, list[Held]],
    findings: list[Finding],
) -> list[Finding]:
    """What can be put right without losing anything is. What nobody holds is looked at again, with everyone else
    waiting: somebody may hold it now.
    """
    done: dict[Finding, str] = {}
    unheld = [finding for finding in findings if finding.code in _UNHELD]
    for first in range(0, len(unheld), _BATCH):
        with database.writing(room=CATALOGUE_ROOM) as session:
            now = _by_digest(holders(session))
            for finding in unheld[first : first + _BATCH]:
                done[finding] = _UNHELD[finding.code](
                    session, store, finding.digest, now.get(finding.digest, [])
                )
    for finding in findings:
        if finding.code in _HELD:
            with database.writing(room=CATALOGUE_ROOM) as session:
                repair = _HELD[finding.code]
                done[finding] = repair(session, store, finding.digest, held.get(finding.digest, []))
    return [replace(finding, repaired=done.get(finding, "")) for finding in findings]


def _quarantine(session: Session, store: BlobStore, digest: str, items: list[Held]) -> str:
    if items or store.stat(digest) is None:
        return ""
    rows.forget_blob(session, digest)
    return text("storage.repaired.quarantine", place=store.set_aside(digest))


def _forget(session: Session, store: BlobStore, digest: str, items: list[Held]) -> str:
    if items or store.stat(digest) is not None:
        return ""
    rows.forget_blob(session, digest)
    return text("storage.repaired.row")


def _record(session: Session, store: BlobStore, digest: str, items: list[Held]) -> str:
    there = store.stat(digest)
    if there is None:
        return ""
    rows.record_blob(session, digest, there.size, iso_time(utc_now()))
    return text("storage.repaired.recorded")


def _fetch(session: Session, store: BlobStore, digest: str, items: list[Held]) -> str:
    """From a version's own folder, where its file is sound; what was damaged is set aside, not removed."""
    for item in items:
        if item.path is None or not item.path.is_file() or sha256_file(item.path) != digest:
            continue
        if store.stat(digest) is not None:
            store.set_aside(digest)
        blob = store.put(digest, read_file(item.path), item.path.stat().st_size)
        rows.record_blob(session, digest, blob.size, iso_time(utc_now()))
        return text("storage.repaired.fetched", path=item.path)
    return ""


_UNHELD = {"orphan": _quarantine, "row": _forget}
_HELD = {"unrecorded": _record, "missing": _fetch, "damaged": _fetch}


def _by_digest(items: Iterator[Held]) -> dict[str, list[Held]]:
    found: dict[str, list[Held]] = {}
    for item in items:
        found.setdefault(item.digest, []).append(item)
    return found


def _names(items: list[Held]) -> tuple[str, ...]:
    return tuple(sorted({item.holder for item in items}))
