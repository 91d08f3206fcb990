"""Every request that the service takes, as it is sent; the two clients send them."""

from __future__ import annotations

from collections.abc import Sequence

from mozhu.client.asking import Ask, get, segment
from mozhu.specs.wire.datasets import DatasetDetailWire, DatasetReportWire, DatasetRowWire, DatasetsPage
from mozhu.specs.wire.events import EventsPage
from mozhu.specs.wire.files import FilesList
from mozhu.specs.wire.models import ModelDetailWire, ModelsPage, RescanWire, ValidationWire
from mozhu.specs.wire.webhooks import DeliveriesPage, WebhooksList, WebhookWire


def models(search: str | None = None, limit: int | None = None, cursor: str | None = None) -> Ask[ModelsPage]:
    return get("/models", search=search, limit=limit, cursor=cursor)


def model(name: str, limit: int | None = None, before: int | None = None) -> Ask[ModelDetailWire]:
    return get(f"/models/{segment(name)}", limit=limit, before=before)


def files(reference: str) -> Ask[FilesList]:
    return get(f"/models/{segment(reference)}/files")


def validate_model(name: str) -> Ask[ValidationWire]:
    return Ask("POST", f"/models/{segment(name)}/validate")


def rescan(keep: bool = True) -> Ask[RescanWire]:
    return Ask("POST", "/registry/rescan", {"keep": keep})


def datasets(
    search: str | None = None, state: str | None = None, limit: int | None = None, cursor: str | None = None
) -> Ask[DatasetsPage]:
    return get("/datasets", search=search, state=state, limit=limit, cursor=cursor)


def dataset(name: str) -> Ask[DatasetDetailWire]:
    return get(f"/datasets/{segment(name)}")


def dataset_row(name: str, row: str) -> Ask[DatasetRowWire]:
    return get(f"/datasets/{segment(name)}/rows/{segment(row)}")


def validate_dataset(name: str) -> Ask[DatasetReportWire]:
    return Ask("POST", f"/datasets/{segment(name)}/validate")


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
