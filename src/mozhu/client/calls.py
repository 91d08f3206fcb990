"""Every request that the service takes, as it is sent; the two clients send them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mozhu.client.asking import Ask, get, segment
from mozhu.specs.wire.catalogue import (
    AdviceList,
    AliasesList,
    DeletedWire,
    FamilyWire,
    NextVersionWire,
    RatingWire,
    RightName,
    SharesList,
    StatisticsWire,
)
from mozhu.specs.wire.datasets import DatasetDetailWire, DatasetReportWire, DatasetRowWire, DatasetsPage
from mozhu.specs.wire.events import EventsPage
from mozhu.specs.wire.files import FilesList
from mozhu.specs.wire.imports import ImportsPage, ImportWire
from mozhu.specs.wire.models import ModelDetailWire, ModelsPage, RescanWire, ValidationWire
from mozhu.specs.wire.reports import ReportKindName, ReportsPage, ReportWire
from mozhu.specs.wire.uploads import UploadsList, UploadWire
from mozhu.specs.wire.webhooks import DeliveriesPage, WebhooksList, WebhookWire


def models(
    search: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    *,
    type: str | None = None,
    tag: str | None = None,
    owner: str | None = None,
    team: str | None = None,
    state: str | None = None,
    sort: str | None = None,
    trash: bool | None = None,
    visibility: str | None = None,
) -> Ask[ModelsPage]:
    filters = {"type": type, "tag": tag, "owner": owner, "team": team, "visibility": visibility}
    order = {"state": state, "sort": sort, "trash": trash}
    return get("/models", search=search, limit=limit, cursor=cursor, **filters, **order)


def model(name: str, limit: int | None = None, before: int | None = None) -> Ask[ModelDetailWire]:
    return get(f"/models/{segment(name)}", limit=limit, before=before)


def files(reference: str) -> Ask[FilesList]:
    return get(f"/models/{segment(reference)}/files")


def copy_model(reference: str, name: str, *, team: str | None = None) -> Ask[ModelDetailWire]:
    """A model, or one version, under a new name as one's own; ``team`` may use it."""
    return Ask("POST", f"/models/{segment(reference)}/copy", body={"name": name, "team": team})


def validate_model(name: str) -> Ask[ValidationWire]:
    return Ask("POST", f"/models/{segment(name)}/validate")


def edit_model(name: str, *, if_match: str | None = None, **fields: str) -> Ask[ModelDetailWire]:
    """Set ``type``, ``description``, ``licence``, ``visibility``, ``base_reference``."""
    return Ask("PATCH", f"/models/{segment(name)}", body=fields, headers=_matching(if_match))


def set_notes(reference: str, notes: str, *, if_match: str | None = None) -> Ask[ModelDetailWire]:
    body = {"notes": notes}
    return Ask("PUT", f"/models/{segment(reference)}/notes", body=body, headers=_matching(if_match))


def set_tags(reference: str, tags: Sequence[str], *, if_match: str | None = None) -> Ask[ModelDetailWire]:
    body = {"tags": list(tags)}
    return Ask("PUT", f"/models/{segment(reference)}/tags", body=body, headers=_matching(if_match))


def delete_model(reference: str, *, force: bool = False, keep: bool = True) -> Ask[DeletedWire]:
    """Into the trash; ``keep=False`` only tells what would go, ``force`` takes what is in use too."""
    params = {"confirm": reference, "force": reference if force else None, "keep": keep}
    return Ask("DELETE", f"/models/{segment(reference)}", params)


def restore_model(reference: str) -> Ask[ModelDetailWire]:
    return Ask("POST", f"/models/{segment(reference)}/restore")


def empty_trash(days: int = 30, keep: bool = True) -> Ask[DeletedWire]:
    return Ask("POST", "/trash/empty", {"confirm": "trash", "days": days, "keep": keep})


def aliases(name: str) -> Ask[AliasesList]:
    return get(f"/models/{segment(name)}/aliases")


def set_alias(
    name: str,
    alias: str,
    version: str,
    *,
    protected: bool | None = None,
    force: bool = False,
    keep: bool = True,
) -> Ask[AliasesList]:
    body = {"version": version, "protected": protected, "force": force}
    return Ask("PUT", f"/models/{segment(name)}/aliases/{segment(alias)}", {"keep": keep}, body=body)


def remove_alias(name: str, alias: str, *, force: bool = False, keep: bool = True) -> Ask[AliasesList]:
    params = {"force": force, "keep": keep}
    return Ask("DELETE", f"/models/{segment(name)}/aliases/{segment(alias)}", params)


def shares(name: str) -> Ask[SharesList]:
    return get(f"/models/{segment(name)}/shares")


def set_share(name: str, whom: str, right: RightName) -> Ask[SharesList]:
    return Ask("PUT", f"/models/{segment(name)}/shares/{segment(whom)}", body={"right": right})


def remove_share(name: str, whom: str) -> Ask[SharesList]:
    return Ask("DELETE", f"/models/{segment(name)}/shares/{segment(whom)}")


def rating(name: str) -> Ask[RatingWire]:
    return get(f"/models/{segment(name)}/rating")


def rate_model(name: str, stars: int, comment: str = "") -> Ask[RatingWire]:
    return Ask("PUT", f"/models/{segment(name)}/rating", body={"stars": stars, "comment": comment})


def lineage(of: str) -> Ask[FamilyWire]:
    return get("/lineage", of=of)


def advice(reference: str) -> Ask[AdviceList]:
    return get(f"/models/{segment(reference)}/advice")


def next_version(name: str) -> Ask[NextVersionWire]:
    return get(f"/models/{segment(name)}/next-version")


def statistics() -> Ask[StatisticsWire]:
    return get("/statistics")


def rescan(keep: bool = True) -> Ask[RescanWire]:
    return Ask("POST", "/registry/rescan", {"keep": keep})


def datasets(
    search: str | None = None,
    state: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    *,
    kind: str | None = None,
    tag: str | None = None,
    owner: str | None = None,
    team: str | None = None,
    sort: str | None = None,
    trash: bool | None = None,
    visibility: str | None = None,
) -> Ask[DatasetsPage]:
    filters = {"kind": kind, "tag": tag, "owner": owner, "team": team, "visibility": visibility}
    order = {"state": state, "sort": sort, "trash": trash}
    return get("/datasets", search=search, limit=limit, cursor=cursor, **filters, **order)


def dataset(name: str) -> Ask[DatasetDetailWire]:
    return get(f"/datasets/{segment(name)}")


def dataset_row(name: str, row: str) -> Ask[DatasetRowWire]:
    return get(f"/datasets/{segment(name)}/rows/{segment(row)}")


def validate_dataset(name: str) -> Ask[DatasetReportWire]:
    return Ask("POST", f"/datasets/{segment(name)}/validate")


def uploads() -> Ask[UploadsList]:
    return get("/uploads")


def upload_state(upload_id: str) -> Ask[UploadWire]:
    return get(f"/uploads/{segment(upload_id)}")


def begin_upload(
    files: Sequence[dict[str, Any]], *, team: str | None = None, purpose: dict[str, Any] | None = None
) -> Ask[UploadWire]:
    """``files``: ``path``, ``size`` and, so that what is known need not be sent, ``sha256`` of each."""
    return Ask("POST", "/uploads", body={"files": list(files), "team": team, "purpose": purpose or {}})


def prove_file(upload_id: str, path: str, answer: str) -> Ask[UploadWire]:
    """``answer``: what :func:`mozhu.specs.uploads.answer_to` gives for the file's challenge."""
    return Ask("POST", f"/uploads/{segment(upload_id)}/proof", body={"path": path, "answer": answer})


def abort_upload(upload_id: str) -> Ask[UploadWire]:
    return Ask("DELETE", f"/uploads/{segment(upload_id)}")


def copy_dataset(reference: str, name: str, *, team: str | None = None) -> Ask[DatasetDetailWire]:
    """A data set, or one version, under a new name as one's own; ``team`` may use it."""
    return Ask("POST", f"/datasets/{segment(reference)}/copy", body={"name": name, "team": team})


def edit_dataset(name: str, *, if_match: str | None = None, **fields: str) -> Ask[DatasetDetailWire]:
    """Set ``description``, ``licence``, ``visibility``."""
    return Ask("PATCH", f"/datasets/{segment(name)}", body=fields, headers=_matching(if_match))


def set_dataset_notes(reference: str, notes: str, *, if_match: str | None = None) -> Ask[DatasetDetailWire]:
    body = {"notes": notes}
    return Ask("PUT", f"/datasets/{segment(reference)}/notes", body=body, headers=_matching(if_match))


def set_dataset_tags(
    reference: str, tags: Sequence[str], *, if_match: str | None = None
) -> Ask[DatasetDetailWire]:
    body = {"tags": list(tags)}
    return Ask("PUT", f"/datasets/{segment(reference)}/tags", body=body, headers=_matching(if_match))


def delete_dataset(reference: str, *, force: bool = False, keep: bool = True) -> Ask[DeletedWire]:
    """Into the trash; ``keep=False`` only tells what would go, ``force`` takes what is in use too."""
    params = {"confirm": reference, "force": reference if force else None, "keep": keep}
    return Ask("DELETE", f"/datasets/{segment(reference)}", params)


def restore_dataset(reference: str) -> Ask[DatasetDetailWire]:
    return Ask("POST", f"/datasets/{segment(reference)}/restore")


def dataset_shares(name: str) -> Ask[SharesList]:
    return get(f"/datasets/{segment(name)}/shares")


def set_dataset_share(name: str, whom: str, right: RightName) -> Ask[SharesList]:
    return Ask("PUT", f"/datasets/{segment(name)}/shares/{segment(whom)}", body={"right": right})


def remove_dataset_share(name: str, whom: str) -> Ask[SharesList]:
    return Ask("DELETE", f"/datasets/{segment(name)}/shares/{segment(whom)}")


def dataset_aliases(name: str) -> Ask[AliasesList]:
    return get(f"/datasets/{segment(name)}/aliases")


def set_dataset_alias(
    name: str,
    alias: str,
    version: str,
    *,
    protected: bool | None = None,
    force: bool = False,
    keep: bool = True,
) -> Ask[AliasesList]:
    body = {"version": version, "protected": protected, "force": force}
    return Ask("PUT", f"/datasets/{segment(name)}/aliases/{segment(alias)}", {"keep": keep}, body=body)


def remove_dataset_alias(
    name: str, alias: str, *, force: bool = False, keep: bool = True
) -> Ask[AliasesList]:
    params = {"force": force, "keep": keep}
    return Ask("DELETE", f"/datasets/{segment(name)}/aliases/{segment(alias)}", params)


def dataset_rating(name: str) -> Ask[RatingWire]:
    return get(f"/datasets/{segment(name)}/rating")


def rate_dataset(name: str, stars: int, comment: str = "") -> Ask[RatingWire]:
    return Ask("PUT", f"/datasets/{segment(name)}/rating", body={"stars": stars, "comment": comment})


def reports(limit: int | None = None, cursor: str | None = None) -> Ask[ReportsPage]:
    return get("/reports", limit=limit, cursor=cursor)


def version_reports(
    name: str, version: str, limit: int | None = None, cursor: str | None = None
) -> Ask[ReportsPage]:
    return get(_of_version(name, version), limit=limit, cursor=cursor)


def attach_report(
    name: str,
    version: str,
    html: str,
    *,
    kind: ReportKindName,
    run: str = "",
    metrics: dict[str, Any] | None = None,
) -> Ask[ReportWire]:
    """``html`` is a page that stands by itself; ``metrics`` is what it tells as figures."""
    body = {"kind": kind, "html": html, "run": run, "metrics": metrics or {}}
    return Ask("POST", _of_version(name, version), body=body)


def remove_report(name: str, version: str, sha256: str) -> Ask[None]:
    return Ask("DELETE", f"{_of_version(name, version)}/{segment(sha256)}")


def events(after: int = 0, limit: int | None = None) -> Ask[EventsPage]:
    return get("/events/history", after=after, limit=limit)


def webhooks() -> Ask[WebhooksList]:
    return get("/webhooks")


def webhook(webhook_id: str) -> Ask[WebhookWire]:
    return get(f"/webhooks/{segment(webhook_id)}")


def add_webhook(url: str, events: Sequence[str] = ("*",)) -> Ask[WebhookWire]:
    return Ask("POST", "/webhooks", body={"url": url, "events": list(events)})


def remove_webhook(webhook_id: str) -> Ask[None]:
    return Ask("DELETE", f"/webhooks/{segment(webhook_id)}")


def deliveries(webhook_id: str, before: int | None = None, limit: int | None = None) -> Ask[DeliveriesPage]:
    return get(f"/webhooks/{segment(webhook_id)}/deliveries", before=before, limit=limit)


def import_version(name: str, upload: str, **wishes: Any) -> Ask[ImportWire]:
    """The upload is to become a version of ``name``.

    Args:
        wishes: ``version``, ``type``, ``description``, ``tags``, ``licence``, ``base``, ``notes``, ``team``,
            ``visibility``.
    """
    return Ask("POST", f"/models/{segment(name)}/versions", body={"upload": upload, **wishes})


def imports(
    state: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Ask[ImportsPage]:
    return get("/imports", state=state, limit=limit, cursor=cursor)


def import_state(import_id: str) -> Ask[ImportWire]:
    return get(f"/imports/{segment(import_id)}")


def retry_import(import_id: str) -> Ask[ImportWire]:
    return Ask("POST", f"/imports/{segment(import_id)}/retry")


def remove_import(import_id: str) -> Ask[None]:
    return Ask("DELETE", f"/imports/{segment(import_id)}")


def _matching(tag: str | None) -> dict[str, str]:
    return {} if tag is None else {"If-Match": tag}


def _of_version(name: str, version: str) -> str:
    return f"/models/{segment(name)}/versions/{segment(version)}/reports"
