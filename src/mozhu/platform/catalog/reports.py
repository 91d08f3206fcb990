"""Reports about versions of models: the page of a training or of an evaluation, and what it measured.

The page is a content of the store, held for as long as its version is there; the rest is on the model's card. Who may
read a model reads its reports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from mozhu.kernel.errors import BadValue, MissingFile, UnknownReport
from mozhu.kernel.files import finite, reading
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog import events
from mozhu.platform.catalog.access import readable
from mozhu.platform.catalog.artefacts import RUN_RESULT, RUN_SPEC
from mozhu.platform.catalog.assets import AssetRoom, Change
from mozhu.platform.catalog.cards import write_card
from mozhu.platform.catalog.kinds import MODEL, Kind
from mozhu.platform.database.tables import Model, Version
from mozhu.platform.database.tables_assets import ReportRow
from mozhu.platform.storage import rows as contents
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.storage.held import Held
from mozhu.specs.records.result import Result
from mozhu.specs.records.run import RunSpec

ReportKind = Literal["training", "evaluation"]
KINDS: tuple[ReportKind, ...] = ("training", "evaluation")
_KIND_OF_VERB: dict[str, ReportKind] = {"train": "training", "evaluate": "evaluation"}
PAGE = "report.html"
# A page holds its curves as drawings; one that is larger is none of ours.
LARGEST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class ReportView:
    """``reference`` is the version's, ``run`` the name of the run that wrote it, ``sha256`` that of its page."""

    reference: str
    kind: str
    run: str
    metrics: dict[str, Any]
    sha256: str
    size: int
    created: str
    attached_by: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ReportPage:
    """Newest first; ``next`` is the key of the page that follows (``created`` and ``id``)."""

    items: tuple[ReportView, ...]
    next: tuple[str, int] | None


@dataclass(frozen=True)
class Told:
    """A report that is to be attached."""

    kind: ReportKind
    page: bytes
    run: str
    metrics: Mapping[str, Any]

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.page).hexdigest()}"


class Reports(AssetRoom):
    """The reports of one workspace's models."""

    kind: ClassVar[Kind] = MODEL

    def page(
        self,
        *,
        subject: Subject = LOCAL_ADMIN,
        of: str | None = None,
        limit: int = 50,
        after: tuple[str, int] | None = None,
    ) -> ReportPage:
        """Reports of what ``subject`` may read, newest first; ``of``: only those of the version that this names.

        Raises:
            UnknownReference: REG-001.
        """
        if of is not None:
            with self._seeing(of, subject) as (session, model):
                version = Change(session, MODEL, model, "", subject).version(of)
                return _page(session, _seen(subject).where(ReportRow.version_id == version.id), limit, after)
        database = self._existing()
        if database is None:
            return ReportPage((), None)
        with database.reading() as session:
            return _page(session, _seen(subject), limit, after)

    def find(self, reference: str, sha256: str, *, subject: Subject = LOCAL_ADMIN) -> ReportView:
        """The report of the version ``reference`` whose page is ``sha256:…``.

        Raises:
            UnknownReference: REG-001. UnknownReport: REG-027.
        """
        with self._seeing(reference, subject) as (session, model):
            version = Change(session, MODEL, model, "", subject).version(reference)
            row = _row(session, version.id, sha256)
            return _view(row, f"{model.name}:{version.label}")

    def html(self, view: ReportView) -> Iterator[bytes]:
        """The bytes of its page.

        Raises:
            BlobMissing: STORE-001.
        """
        return self.store.open(view.sha256)

    def attach(self, reference: str, told: Told, *, subject: Subject = LOCAL_ADMIN) -> ReportView:
        """The version ``reference`` has this report too; the same page again is the same report.

        Raises:
            UnknownReference: REG-001. NotAllowed: REG-023, it takes the right to write. BadValue: REG-025.
        """
        if told.kind not in KINDS:
            raise BadValue(value=str(told.kind), field="kind", known=list(KINDS))
        if not 0 < len(told.page) <= LARGEST_BYTES:
            raise BadValue(value=str(len(told.page)), field="html", known=[f"1-{LARGEST_BYTES} B"])
        with self._changing(reference, subject, "write") as change:
            version = change.version(reference)
            row, is_new = add_report(change.session, self.store, version.id, told, subject)
            if is_new:
                details = {"kind": row.kind, "sha256": row.sha256}
                change.tell(events.REPORTED, f"{change.asset.name}:{version.label}", details)
            return _view(row, f"{change.asset.name}:{version.label}")

    def remove(self, reference: str, sha256: str, *, subject: Subject = LOCAL_ADMIN) -> None:
        """The version has this report no more; its page goes with the next collection.

        Raises:
            UnknownReference: REG-001. UnknownReport: REG-027. NotAllowed: REG-023, it takes the right to write.
        """
        with self._changing(reference, subject, "write") as change:
            change.session.delete(_row(change.session, change.version(reference).id, sha256))


def report_of_run(folder: Path) -> Told | None:
    """The report that the run in ``folder`` wrote; ``None`` where it wrote none.

    Raises:
        MissingFile: FILE-001, it is no run. BadJson: FILE-004. DamagedRecord: FILE-006.
    """
    spec = RunSpec.read(folder / RUN_SPEC)
    page, result = folder / PAGE, folder / RUN_RESULT
    if spec.verb not in _KIND_OF_VERB or not page.is_file() or page.stat().st_size > LARGEST_BYTES:
        return None
    metrics = Result.read(result).to_json()["metrics"] if result.is_file() else {}
    with reading(page):
        content = page.read_bytes()
    return Told(_KIND_OF_VERB[spec.verb], content, spec.run, metrics)


def demand_report(folder: Path) -> Told:
    """As :func:`report_of_run`; MissingFile: FILE-001 where there is no page."""
    told = report_of_run(folder)
    if told is None:
        raise MissingFile(path=str(folder / PAGE))
    return told


def add_report(
    session: Session, store: BlobStore, version_id: int, told: Told, subject: Subject
) -> tuple[ReportRow, bool]:
    """The row of a report, and whether it is new; its page is in the store, in the same transaction."""
    query = select(ReportRow).where(ReportRow.version_id == version_id, ReportRow.sha256 == told.digest)
    there = session.scalar(query)
    if there is not None:
        return there, False
    now = iso_time(utc_now())
    if store.stat(told.digest) is None:
        store.put(told.digest, [told.page], len(told.page))
    contents.record_blob(session, told.digest, len(told.page), now)
    row = ReportRow(
        version_id=version_id,
        kind=told.kind,
        run=told.run[:500],
        metrics=finite(dict(told.metrics)),
        sha256=told.digest,
        size=len(told.page),
        created=now,
        attached_by=subject.user,
    )
    session.add(row)
    session.flush()
    return row, True


def attach_of_run(session: Session, store: BlobStore, models: Path, reference: str, told: Told) -> None:
    """A version that is just being registered has the report of the run that made it."""
    name, _, label = reference.partition(":")
    query = select(Model, Version.id).join(Version, Version.model_id == Model.id)
    model, version_id = session.execute(query.where(Model.name == name, Version.label == label)).one()
    add_report(session, store, version_id, told, LOCAL_ADMIN)
    write_card(models, session, model)


def copy_reports(session: Session, version_id: int, copied_id: int) -> None:
    """The copy of a version has the reports that the version has."""
    columns = [column for column in ReportRow.__table__.c if column.name not in ("id", "version_id")]
    for row in session.execute(select(*columns).where(ReportRow.version_id == version_id)).all():
        session.add(ReportRow(version_id=copied_id, **row._mapping))
    session.flush()


def held_by_reports(session: Session) -> Iterator[Held]:
    """The pages that reports need."""
    query = select(ReportRow.sha256, ReportRow.size, Model.name, Version.label)
    query = query.join(Version, Version.id == ReportRow.version_id).join(Model, Model.id == Version.model_id)
    for digest, size, name, label in session.execute(query):
        yield Held(digest, size, f"{name}:{label}")


def _seen(subject: Subject) -> Select[ReportRow, str, str]:
    query = select(ReportRow, Model.name, Version.label).join(Version, Version.id == ReportRow.version_id)
    query = query.join(Model, Model.id == Version.model_id)
    return query.where(Version.trashed.is_(None), Model.trashed.is_(None), readable(subject))


def _page(
    session: Session, query: Select[ReportRow, str, str], limit: int, after: tuple[str, int] | None
) -> ReportPage:
    if after is not None:
        query = query.where(tuple_(ReportRow.created, ReportRow.id) < after)
    query = query.order_by(ReportRow.created.desc(), ReportRow.id.desc()).limit(limit + 1)
    found = session.execute(query).all()
    shown = tuple(_view(row, f"{name}:{label}") for row, name, label in found[:limit])
    last = found[limit - 1][0] if len(found) > limit else None
    return ReportPage(shown, (last.created, last.id) if last is not None else None)


def _row(session: Session, version_id: int, sha256: str) -> ReportRow:
    query = select(ReportRow).where(ReportRow.version_id == version_id, ReportRow.sha256 == sha256)
    found = session.scalar(query)
    if found is None:
        raise UnknownReport(report=sha256[:19])
    return found


def _view(row: ReportRow, reference: str) -> ReportView:
    return ReportView(
        reference=reference,
        kind=row.kind,
        run=row.run,
        metrics=dict(row.metrics),
        sha256=row.sha256,
        size=row.size,
        created=row.created,
        attached_by=row.attached_by,
    )
