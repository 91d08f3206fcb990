"""Whether the service lives, whether it can work, and what it has measured."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from mozhu import __version__
from mozhu.kernel.errors import MozhuError, NotReady
from mozhu.kernel.texts import text
from mozhu.server.answers import answer
from mozhu.server.identity import Services
from mozhu.server.metrics import CONTENT_TYPE

router = APIRouter(tags=["service"])


@router.get("/healthz", response_model=dict[str, str])
async def health() -> Response:
    """The process answers."""
    return answer({"status": "ok", "version": __version__})


@router.get("/readyz", response_model=dict[str, str])
def ready(request: Request, services: Services) -> Response:
    """The database answers and the service is not stopping; else 503 with the reasons."""
    reasons = [text("api.stopping")] if request.app.state.stopping.is_set else []
    try:
        services.registry.newest_event()
    except MozhuError as error:
        reasons.append(error.what)
    if reasons:
        raise NotReady(reasons="\n  ".join(reasons))
    return answer({"status": "ready", "version": __version__})


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    return Response(request.app.state.metrics.text(), headers={"Content-Type": CONTENT_TYPE})
