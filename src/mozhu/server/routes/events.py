"""What happens in the catalogue: as pages, and as a stream that can be taken up again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mozhu.app import Composition
from mozhu.platform.accounts.subject import Subject
from mozhu.server.answers import answer, encoded
from mozhu.server.feed import Feed
from mozhu.server.identity import Asks, Services
from mozhu.specs.wire.events import EventsPage
from mozhu.specs.wire.place import PREFIX

router = APIRouter(prefix=PREFIX, tags=["events"])
_PAGE = 200
# A comment keeps proxies from closing a quiet stream.
_HEARTBEAT_S = 15.0
_Number = Annotated[int, Query(ge=0, le=2**62)]


@router.get("/events/history", response_model=EventsPage)
def list_events(
    services: Services, asks: Asks, after: _Number = 0, limit: Annotated[int, Query(ge=1, le=_PAGE)] = 50
) -> Response:
    """Events with a greater id than `after`, oldest first."""
    events = services.registry.events_after(after, limit, subject=asks)
    return answer({"items": events, "next": events[-1]["id"] if events else after})


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"description": "Server-sent events", "content": {"text/event-stream": {}}}},
)
async def stream_events(
    request: Request,
    services: Services,
    asks: Asks,
    after: Annotated[int | None, Query(ge=0, le=2**62)] = None,
    last_event_id: Annotated[str | None, Header(pattern=r"^\d{1,18}$")] = None,
) -> Response:
    """Every event from now on, or after `Last-Event-ID` (or `after`): none twice, none left out."""
    seen = int(last_event_id) if last_event_id else after
    if seen is None:
        seen = await run_in_threadpool(services.registry.newest_event)
    lines = _lines(services, asks, request.app.state.feed, seen)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, headers=headers, media_type="text/event-stream")


async def _lines(services: Composition, asks: Subject, feed: Feed, seen: int) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    while not feed.is_stopping:
        if not await feed.newer_than(seen, _HEARTBEAT_S):
            yield b": here\n\n"
            continue
        newest, events = await run_in_threadpool(_behind, services, asks, seen)
        for event in events:
            yield b"id: %d\nevent: %s\ndata: %s\n\n" % (event["id"], event["what"].encode(), encoded(event))
        # What the caller may not read is passed by, so that it is not waited for again.
        seen = events[-1]["id"] if len(events) == _PAGE else max(seen, newest)


def _behind(services: Composition, asks: Subject, seen: int) -> tuple[int, list[dict[str, Any]]]:
    """The number up to which is looked, and what the caller may read behind ``seen``."""
    newest = services.registry.newest_event()
    events = services.registry.events_after(seen, _PAGE, subject=asks)
    return (events[-1]["id"] if events and events[-1]["id"] > newest else newest), events
