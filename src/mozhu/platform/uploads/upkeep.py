"""The upkeep of the store, and one plain function for each of its verbs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.cards import strange_cards, write_card
from mozhu.platform.catalog.contents import held_by_versions
from mozhu.platform.catalog.datasets import rows as dataset_rows
from mozhu.platform.catalog.datasets.folders import read_version
from mozhu.platform.catalog.datasets.service import Datasets
from mozhu.platform.catalog.kinds import DATASET, MODEL
from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.reports import held_by_reports
from mozhu.platform.catalog.room import settings_of
from mozhu.platform.catalog.service import Registry
from mozhu.platform.database.engine import Database
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.storage.fsck import Finding, StoreReport, check_store
from mozhu.platform.storage.gc import Collected, collect
from mozhu.platform.storage.held import Held, Holders, Progress, no_progress
from mozhu.platform.storage.local import LocalBlobs
from mozhu.platform.uploads import rows
from mozhu.platform.uploads.rooms import part_room
from mozhu.platform.uploads.service import Uploads
from mozhu.platform.uploads.views import Limits, limits_of
from mozhu.specs.registry import FsckSpec, GcSpec


def holders_of(models: Path, limits: Limits) -> Holders:
    """Everything that needs a content: versions, their reports, open uploads, and uploads that may become a version."""

    def holders(session: Session) -> Iterator[Held]:
        yield from held_by_versions(session, models)
        yield from held_by_reports(session)
        since = iso_time(utc_now() - timedelta(hours=limits.expiry_hours))
        for digest in rows.digests_in_uploads(session, since):
            yield Held(digest, None, "upload")

    return holders


def registry_gc(
    root: Path, spec: GcSpec, *, keep: bool = False, on_progress: Progress = no_progress
) -> Collected:
    """What has been in the trash long enough and what nobody needs is gone; with ``keep`` it is only told.

    With ``keep`` the bytes of versions that would leave the trash are not counted: they are needed until then.

    Raises:
        MissingFile: FILE-001, the manifest of a version cannot be read: nothing is collected.
    """
    with Registry(root) as registry:
        database, store, limits = registry.database, registry.store, limits_of(settings_of(registry.models))
        parts = part_room(store, registry.models)
        with Models(root, database=database) as models:
            purged = len(models.empty_trash(days=spec.trash_days, keep=not keep))
        with Datasets(root, database=database) as datasets:
            purged += len(datasets.empty_trash(days=spec.trash_days, keep=not keep))
        expired = swept = 0
        if not keep:
            uploads = Uploads(database, store, parts, limits=limits, may_read=_nothing)
            expired = uploads.expire()
            with database.reading() as session:
                living = rows.open_ids(session)
            swept = parts.sweep(living) + _sweep(store)
        found = collect(
            database,
            store,
            holders_of(registry.models, limits),
            grace_s=spec.grace_hours * 3600,
            keep=keep,
            on_progress=on_progress,
        )
        return replace(found, versions_purged=purged, uploads_expired=expired, leftover_bytes=swept)


def registry_fsck(root: Path, spec: FsckSpec, *, on_progress: Progress = no_progress) -> StoreReport:
    """Everything that is wrong with the store of the workspace."""
    with Registry(root) as registry:
        report = check_store(
            registry.database,
            registry.store,
            holders_of(registry.models, limits_of(settings_of(registry.models))),
            grace_s=spec.grace_hours * 3600,
            repair=spec.repair,
            on_progress=on_progress,
        )
        cards = _check_cards(registry.database, registry.models, repair=spec.repair)
        data = _check_datasets(registry.database, registry.models)
        return replace(report, findings=(*report.findings, *cards, *data))


def _check_datasets(database: Database, models: Path) -> Iterator[Finding]:
    """What is wrong with the folders of data sets, each byte read: their contents are in no store."""
    with database.reading() as session:
        versions = dataset_rows.facts(session)
    for version in versions:
        try:
            told = [problem.line() for problem in read_version(models / version.path).problems]
        except MozhuError as error:
            told = [error.what]
        yield from (Finding("dataset", f"dataset://{version.reference}", found=line) for line in told)


def _check_cards(database: Database, models: Path, *, repair: bool) -> list[Finding]:
    """Cards that do not say what the rows say; with ``repair`` they do from now on."""
    found = []
    # Only in a turn of its own: a change that is being made writes its card before its rows can be seen.
    with database.writing(keep=repair) as session:
        for kind in (MODEL, DATASET):
            for path, asset in list(strange_cards(models, session, kind)):
                if repair:
                    write_card(models, session, asset, kind)
                done = text("storage.repaired.card") if repair else ""
                found.append(Finding("card", path.relative_to(models).as_posix(), repaired=done))
    return found


def _sweep(store: BlobStore) -> int:
    return store.sweep() if isinstance(store, LocalBlobs) else 0


def _nothing(session: Session, subject: Subject, digest: str) -> bool:
    return False
