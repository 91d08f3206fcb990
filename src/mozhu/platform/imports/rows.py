"""The only SQL of imports."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, or_, select, true, tuple_
from sqlalchemy.orm import Session

from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.access import may, readable
from mozhu.platform.database.tables import Model
from mozhu.platform.database.tables_imports import OPEN_STATES, ImportRow
from mozhu.platform.database.tables_uploads import UploadRow
from mozhu.platform.imports.views import ImportView

_SHOWN = 50


def readable_imports(subject: Subject) -> ColumnElement[bool]:
    """The imports that ``subject`` may know of: their own, and those into models that they may read."""
    if subject.is_admin:
        return true()
    models = select(Model.name).where(readable(subject))
    return or_(ImportRow.owner == subject.user, ImportRow.model.in_(models))


def may_change(session: Session, subject: Subject, row: ImportRow) -> bool:
    """Whose import it is may, and who may write to the model."""
    if subject.is_admin or row.owner == subject.user:
        return True
    there = model(session, row.model)
    return there is not None and may(session, subject, there, "write")


def model(session: Session, name: str) -> Model | None:
    return session.scalar(select(Model).where(Model.name == name))


def upload_of(session: Session, upload_id: str) -> tuple[str, str] | None:
    """Owner and state of an upload, without the list of its files."""
    found = session.execute(select(UploadRow.owner, UploadRow.state).where(UploadRow.id == upload_id)).first()
    return (found[0], found[1]) if found else None


def plan_of(session: Session, upload_id: str) -> list[dict[str, Any]]:
    """The files of an upload: ``path``, ``size``, ``sha256``; none where it is gone."""
    plan = session.scalar(select(UploadRow.plan).where(UploadRow.id == upload_id))
    return list(plan["files"]) if plan else []


def add(session: Session, **values: Any) -> ImportRow:
    row = ImportRow(**values, waits=False, findings=[], recognised={}, run="", attempts=0, finished=None)
    session.add(row)
    session.flush()
    return row


def found(session: Session, import_id: str) -> ImportRow | None:
    return session.get(ImportRow, import_id)


def seen(session: Session, subject: Subject, import_id: str) -> ImportRow | None:
    """The import, where ``subject`` may know of it."""
    return session.scalar(select(ImportRow).where(ImportRow.id == import_id, readable_imports(subject)))


def page(
    session: Session, subject: Subject, limit: int, after: tuple[str, str] | None, state: str | None
) -> list[ImportRow]:
    """At most ``limit`` imports, newest first, behind the key (``created``, ``id``)."""
    query = select(ImportRow).where(readable_imports(subject))
    if state is not None:
        query = query.where(ImportRow.state == state)
    if after is not None:
        query = query.where(tuple_(ImportRow.created, ImportRow.id) < after)
    return list(session.scalars(query.order_by(ImportRow.created.desc(), ImportRow.id.desc()).limit(limit)))


def unfinished_of(session: Session, name: str) -> list[ImportRow]:
    """The imports into a model that are not ready, newest first."""
    query = select(ImportRow).where(ImportRow.model == name, ImportRow.state.in_((*OPEN_STATES, "failed")))
    return list(session.scalars(query.order_by(ImportRow.created.desc(), ImportRow.id.desc()).limit(_SHOWN)))


def moving(session: Session) -> list[ImportRow]:
    """The imports that something is to be done for, oldest first: not those whose upload is still open."""
    query = select(ImportRow).join(UploadRow, UploadRow.id == ImportRow.upload, isouter=True)
    ended = or_(UploadRow.id.is_(None), UploadRow.state != "open")
    query = query.where(
        ImportRow.state.in_(OPEN_STATES),
        ImportRow.waits.is_(False),
        or_(ImportRow.state == "checking", ended),
    )
    return list(session.scalars(query.order_by(ImportRow.created, ImportRow.id)))


def runs_needed(session: Session) -> set[str]:
    """The names of the run folders that imports go on with."""
    query = select(ImportRow.id).where(ImportRow.state == "checking", ImportRow.waits.is_(False))
    return set(session.scalars(query))


def view(row: ImportRow) -> ImportView:
    return ImportView(
        id=row.id,
        upload=row.upload,
        model=row.model,
        version=row.version,
        type=row.wishes["type"],
        state=row.state,  # type: ignore[arg-type]
        waits=row.waits,
        wishes=dict(row.wishes),
        findings=tuple(row.findings),
        recognised=dict(row.recognised),
        run=row.run,
        owner=row.owner,
        team=row.team,
        created=row.created,
        finished=row.finished,
    )
