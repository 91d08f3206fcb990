"""Webhooks, and what was sent to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from mozhu.server.answers import answer, found
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.specs.wire.place import PREFIX
from mozhu.specs.wire.webhooks import DeliveriesPage, NewWebhook, WebhooksList, WebhookWire

router = APIRouter(prefix=f"{PREFIX}/webhooks", tags=["webhooks"], route_class=KeyedRoute)
Id = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")]


@router.post("", response_model=WebhookWire, status_code=201)
def add_webhook(services: Services, asks: Asks, body: NewWebhook) -> Response:
    """Send every such event from now on to `url`, signed with the secret that this answer tells once."""
    return answer(services.webhooks.add(asks, body.url, body.events).to_json(), 201)


@router.get("", response_model=WebhooksList)
def list_webhooks(request: Request, services: Services, asks: Asks) -> Response:
    """The caller's webhooks, oldest first."""
    return found(request, {"items": [hook.to_json() for hook in services.webhooks.list(asks)]})


@router.get("/{webhook_id}", response_model=WebhookWire)
def show_webhook(request: Request, services: Services, asks: Asks, webhook_id: Id) -> Response:
    """One webhook."""
    return found(request, services.webhooks.show(asks, webhook_id).to_json())


@router.delete("/{webhook_id}", status_code=204)
def remove_webhook(services: Services, asks: Asks, webhook_id: Id) -> Response:
    """It gets nothing any more; its history goes with it."""
    services.webhooks.remove(asks, webhook_id)
    return Response(status_code=204)


@router.get("/{webhook_id}/deliveries", response_model=DeliveriesPage)
def list_deliveries(
    services: Services,
    asks: Asks,
    webhook_id: Id,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """What was sent, newest first: how often it was tried, and what came back."""
    items = services.webhooks.history(asks, webhook_id, before, limit)
    following = items[-1].id if len(items) == limit else None
    return answer({"items": [item.to_json() for item in items], "next": following})
