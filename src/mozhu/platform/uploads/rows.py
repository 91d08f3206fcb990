"""The only SQL of uploads and contents."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from mozhu.platform.database.tables_imports import OPEN_STATES, ImportRow
from mozhu.platform.database.tables_uploads import UploadPartRow, UploadRow
from mozhu.platform.uploads.views import UploadView, files_of, ranges_of

OPEN, COMPLETE = "open", "complete"


def add_upload(session: Session, **values: Any) -> UploadRow:
    row = UploadRow(**values, state=OPEN, ended=None)
    session.add(row)
    session.flush()
    return row


def upload(session: Session, upload_id: str) -> UploadRow | None:
    return session.get(UploadRow, upload_id)


def uploads_of(session: Session, owner: str | None) -> list[UploadRow]:
    """Newest first; of everyone without ``owner``."""
    query = select(UploadRow).order_by(UploadRow.created.desc(), UploadRow.id)
    return list(session.scalars(query if owner is None else query.where(UploadRow.owner == owner)))


def open_ids(session: Session) -> set[str]:
    return set(session.scalars(select(UploadRow.id).where(UploadRow.state == OPEN)))


def expired(session: Session, now: str) -> list[UploadRow]:
    return list(session.scalars(select(UploadRow).where(UploadRow.state == OPEN, UploadRow.expires <= now)))


def used_by(session: Session, owner: str) -> tuple[int, int]:
    """How many uploads ``owner`` has open, and their bytes together."""
    query = select(func.count(), func.coalesce(func.sum(UploadRow.size_bytes), 0))
    count, size = session.execute(query.where(UploadRow.owner == owner, UploadRow.state == OPEN)).one()
    return int(count), int(size)


def promised_bytes(session: Session) -> int:
    """What all open uploads are still going to send."""
    plans = session.scalars(select(UploadRow.plan).where(UploadRow.state == OPEN))
    size: int = sum(file["size"] for plan in plans for file in plan["files"] if file["need"] == "wanted")
    here = select(func.sum(UploadPartRow.size)).join(UploadRow).where(UploadRow.state == OPEN)
    return max(0, int(size) - int(session.scalar(here) or 0))


def end_upload(session: Session, upload_id: str, state: str, now: str) -> bool:
    """The upload has ended as ``state``; false when it had ended before."""
    statement = (
        update(UploadRow)
        .where(UploadRow.id == upload_id, UploadRow.state == OPEN)
        .values(state=state, ended=now)
    )
    return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def set_plan(session: Session, upload_id: str, plan: dict[str, Any]) -> None:
    session.execute(update(UploadRow).where(UploadRow.id == upload_id).values(plan=plan))


def prolong(session: Session, upload_id: str, expires: str) -> None:
    session.execute(update(UploadRow).where(UploadRow.id == upload_id).values(expires=expires))


def part(session: Session, upload_id: str, number: int) -> UploadPartRow | None:
    return session.get(UploadPartRow, (upload_id, number))


def put_part(session: Session, row: UploadPartRow) -> UploadPartRow:
    """The part is recorded, in the place of another of its number."""
    return session.merge(row)


def parts(session: Session, upload_id: str) -> list[UploadPartRow]:
    query = select(UploadPartRow).where(UploadPartRow.upload_id == upload_id).order_by(UploadPartRow.number)
    return list(session.scalars(query))


def forget_parts(session: Session, upload_id: str) -> None:
    session.execute(delete(UploadPartRow).where(UploadPartRow.upload_id == upload_id))


def digests_in_uploads(session: Session, ended_since: str) -> set[str]:
    """Contents that uploads need: open ones, those that were completed since then, those that are being imported."""
    imported = select(ImportRow.upload).where(ImportRow.state.in_(OPEN_STATES))
    query = select(UploadRow.plan).where(
        (UploadRow.state == OPEN)
        | ((UploadRow.state == COMPLETE) & ((UploadRow.ended >= ended_since) | UploadRow.id.in_(imported)))
    )
    return {file["sha256"] for plan in session.scalars(query) for file in plan["files"] if file["sha256"]}


def sent_by(session: Session, owner: str, digest: str, ended_since: str) -> bool:
    """Whether ``owner`` has sent this content whole, since then."""
    query = select(UploadRow.plan).where(
        UploadRow.owner == owner, UploadRow.state == COMPLETE, UploadRow.ended >= ended_since
    )
    return any(file["sha256"] == digest for plan in session.scalars(query) for file in plan["files"])


def view(session: Session, row: UploadRow) -> UploadView:
    files = files_of(row.plan, row.part_size)
    here = {found.number: found.size for found in parts(session, row.id)}
    known = [file for file in files if file.need == "known"]
    wanted = [
        number
        for file in files
        if file.need == "wanted" and row.state == OPEN
        for number in range(file.first_part, file.first_part + file.part_count)
        if number not in here
    ]
    received = (
        row.size_bytes if row.state == COMPLETE else sum(here.values()) + sum(file.size for file in known)
    )
    return UploadView(
        id=row.id,
        owner=row.owner,
        team=row.team,
        state=row.state,  # type: ignore[arg-type]
        purpose=dict(row.purpose),
        files=files,
        part_size=row.part_size,
        part_count=sum(file.part_count for file in files),
        missing=ranges_of(wanted),
        received_bytes=min(received, row.size_bytes),
        size_bytes=row.size_bytes,
        created=row.created,
        expires=row.expires,
    )
