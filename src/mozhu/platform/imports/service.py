"""Imports: an upload becomes a version of a model, once the safe loader has found nothing against its files.

The version's name is taken from the first moment on. What is asked for here is written down and done by the service's
rounds (:meth:`Imports.advance`): creating does no work with files.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    BadName,
    BadValue,
    ImportEnded,
    InTrash,
    NotAllowed,
    UnknownImport,
    UnknownUpload,
    UploadClosed,
    VersionTaken,
)
from mozhu.kernel.paths import Workspace, check_name
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog import rows as catalogue
from mozhu.platform.catalog.access import demand
from mozhu.platform.catalog.kinds import MODEL
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables import Model
from mozhu.platform.database.tables_imports import OPEN_STATES, ImportRow
from mozhu.platform.imports import rows
from mozhu.platform.imports.events import OF_STATE, REMOVED, tell
from mozhu.platform.imports.steps import Steps, run_folder
from mozhu.platform.imports.views import ImportView, Wanted, progress_of
from mozhu.platform.jobs.executor import Executor
from mozhu.platform.storage.blobs import BlobStore

_USUAL = {"type": "text", "visibility": "private"}


class Imports:
    """The imports of one installation. Threads and processes may share them.

    Args:
        root: The workspace; the files are looked at below ``6_output`` and come to lie below ``5_models``.
        executor: Carries out the runs that look at the files.
        at_once: So many of them run together; the others wait.
        clock: The time, injected in tests.
    """

    def __init__(
        self,
        root: Path,
        database: Database,
        store: BlobStore,
        executor: Executor,
        *,
        at_once: int = 2,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._executor = executor
        self._clock = clock
        self._workspace = Workspace(Path(root).absolute())
        self._steps = Steps(self._workspace, database, store, executor, at_once=at_once, clock=clock)

    def create(self, subject: Subject, name: str, wanted: Wanted) -> ImportView:
        """The upload is to become a version of the model ``name``, which need not be there; its name is taken now.

        The upload may still be open.

        Raises:
            UnknownUpload: UPLOAD-001. UploadClosed: UPLOAD-007, it was given up. VersionTaken: REG-002.
            UnknownReference: REG-001. NotAllowed: REG-023. InTrash: REG-020. BadName: FILE-008. BadValue: REG-025.
        """
        for each in (name, wanted.version or "v1"):
            _check_plain(each)
        now = self._now()
        with self._database.writing() as session:
            chosen = _of_the_model(session, subject, rows.model(session, name), wanted)
            ready = _upload_is_complete(session, subject, wanted.upload)
            row = rows.add(
                session,
                id=secrets.token_hex(10),
                owner=subject.user,
                team=chosen["team"],
                upload=wanted.upload,
                model=name,
                version=_label(session, name, wanted.version),
                state="checking" if ready else "uploading",
                wishes=_wishes(wanted, chosen),
                created=now,
                updated=now,
            )
            tell(session, row, OF_STATE[row.state], now, by=subject.user)
            return rows.view(row)

    def show(self, subject: Subject, import_id: str) -> ImportView:
        """With its progress.

        Raises:
            UnknownImport: IMPORT-001, also for one that ``subject`` may not know of.
        """
        with self._database.reading() as session:
            shown = rows.view(self._row(session, subject, import_id))
        if shown.state != "checking" or not shown.run:
            return shown
        events = self._executor.tail(run_folder(self._workspace, import_id))
        return replace(shown, progress=progress_of(events))

    def page(
        self,
        subject: Subject,
        *,
        limit: int = 50,
        after: tuple[str, str] | None = None,
        state: str | None = None,
    ) -> tuple[list[ImportView], tuple[str, str] | None]:
        """Imports that ``subject`` may know of, newest first, and the key of the page behind them."""
        with self._database.reading() as session:
            found = rows.page(session, subject, limit + 1, after, state)
            shown = found[:limit]
            following = (shown[-1].created, shown[-1].id) if len(found) > limit else None
            return [rows.view(row) for row in shown], following

    def unfinished(self, name: str) -> list[ImportView]:
        """Those into the model ``name`` that are not ready, newest first, for who may read the model."""
        with self._database.reading() as session:
            return [rows.view(row) for row in rows.unfinished_of(session, name)]

    def retry(self, subject: Subject, import_id: str) -> ImportView:
        """A failed or waiting one is looked at from the start; nothing happens to one that is under way.

        Raises:
            UnknownImport: IMPORT-001. NotAllowed: REG-023. ImportEnded: IMPORT-002, it is ready.
            UploadClosed: UPLOAD-007. UnknownUpload: UPLOAD-001. VersionTaken: REG-002, the name went to another.
        """
        now = self._now()
        with self._database.writing() as session:
            row = self._row(session, subject, import_id, to_change=True)
            if row.state == "ready":
                raise ImportEnded(id=row.id, reference=f"{row.model}:{row.version}")
            if row.state in OPEN_STATES and not row.waits:
                return rows.view(row)
            ready = _upload_is_complete(session, None, row.upload)
            if row.state == "failed":
                row.version = _label(session, row.model, row.version)
            row.state, row.waits, row.attempts = "checking" if ready else "uploading", False, 0
            row.findings, row.recognised, row.run, row.finished = [], {}, "", None
            row.updated = now
            tell(session, row, OF_STATE[row.state], now, by=subject.user)
            session.flush()
            return rows.view(row)

    def remove(self, subject: Subject, import_id: str) -> None:
        """It is given up, or forgotten: its name is free and its run stops. A version that it became stays.

        Raises:
            UnknownImport: IMPORT-001. NotAllowed: REG-023.
        """
        now = self._now()
        with self._database.writing() as session:
            row = self._row(session, subject, import_id, to_change=True)
            tell(session, row, REMOVED, now, by=subject.user, state=row.state)
            session.delete(row)
        self._executor.stop(run_folder(self._workspace, import_id))

    def advance(self) -> int:
        """Everything that can be done for imports now is done; how many of them have moved.

        A kill at any moment leaves what the next call carries on with.
        """
        return self._steps.advance()

    def stop(self) -> None:
        """No further step is taken; runs go on, and whoever advances next finds them."""
        self._steps.stop()

    def _row(
        self, session: Session, subject: Subject, import_id: str, *, to_change: bool = False
    ) -> ImportRow:
        row = rows.seen(session, subject, import_id)
        if row is None:
            raise UnknownImport(id=import_id)
        if to_change and not rows.may_change(session, subject, row):
            raise NotAllowed(user=subject.user, name=row.model, right="write", owner=row.owner)
        return row

    def _now(self) -> str:
        return iso_time(self._clock())


def _check_plain(name: str) -> None:
    """Raises BadName (FILE-008) for what is no name by itself, such as ``name@alias``."""
    if "@" in check_name(name):
        raise BadName(name=name)


def _upload_is_complete(session: Session, subject: Subject | None, upload_id: str) -> bool:
    """False while it is open. Without ``subject`` nobody is asked whose it is."""
    found = rows.upload_of(session, upload_id)
    if found is None or not (subject is None or subject.is_admin or found[0] == subject.user):
        raise UnknownUpload(upload=upload_id)
    if found[1] not in ("open", "complete"):
        raise UploadClosed(upload=upload_id, state=found[1])
    return found[1] == "complete"


def _of_the_model(session: Session, subject: Subject, model: Model | None, wanted: Wanted) -> dict[str, Any]:
    """Type, team and visibility: of a model that is there its own, of a new one what was asked for."""
    if model is None:
        mine = next(iter(subject.teams), subject.user)
        if wanted.team not in (None, mine, *subject.teams) and not subject.is_admin:
            raise BadValue(value=wanted.team, field="team", known=[mine, *subject.teams])
        asked = {"type": wanted.type, "visibility": wanted.visibility}
        return {
            **_USUAL,
            **{name: value for name, value in asked.items() if value},
            "team": wanted.team or mine,
        }
    demand(session, subject, model, "write")
    if model.trashed is not None:
        raise InTrash(reference=model.name, group=MODEL.group)
    own = {"type": model.type, "team": model.team, "visibility": model.visibility}
    for name, value in own.items():
        if getattr(wanted, name) not in (None, value):
            raise BadValue(value=getattr(wanted, name), field=name, known=[value])
    return own


def _label(session: Session, name: str, wanted: str | None) -> str:
    if wanted is None:
        return catalogue.next_label(session, name)
    taken = {*catalogue.labels(session, name), *catalogue.reserved_labels(session, name)}
    if wanted in taken:
        raise VersionTaken(name=name, version=wanted, known=sorted(taken))
    return wanted


def _wishes(wanted: Wanted, chosen: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": chosen["type"],
        "visibility": chosen["visibility"],
        "description": wanted.description,
        "tags": list(dict.fromkeys(wanted.tags)),
        "licence": wanted.licence,
        "base": wanted.base,
        "notes": wanted.notes,
    }
