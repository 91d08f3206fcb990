"""Reports about versions: what a training or an evaluation found, as figures and as a page."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mozhu.app import Composition
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.reports import Told
from mozhu.server.answers import answer, found
from mozhu.server.cursors import cursor_after, key_of
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.server.routes.models import Cursor, Limit
from mozhu.specs.wire.place import PREFIX
from mozhu.specs.wire.reports import NewReport, ReportsPage, ReportWire

router = APIRouter(prefix=PREFIX, tags=["reports"], route_class=KeyedRoute)
Model = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[^:@]+$")]
Label = Annotated[str, Path(min_length=1, max_length=200, description="`v2`")]
Sha256 = Annotated[str, Path(pattern=r"^sha256:[0-9a-f]{64}$")]
_OF = "/models/{model}/versions/{version}/reports"
# The page is somebody's: it runs nothing, loads nothing, sends nothing, and is in no frame but a sandbox of its own.
_SHUT = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
_PAGE: dict[int | str, dict[str, Any]] = {200: {"description": "The page", "content": {"text/html": {}}}}


@router.get("/reports", response_model=ReportsPage)
def list_reports(
    request: Request, services: Services, asks: Asks, limit: Limit = 50, cursor: Cursor = None
) -> Response:
    """The reports of every version that the caller may read, newest first."""
    return found(request, _listed(services, asks, None, limit, cursor))


@router.get(_OF, response_model=ReportsPage)
def list_version_reports(
    request: Request,
    services: Services,
    asks: Asks,
    model: Model,
    version: Label,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The reports of one version, newest first."""
    return found(request, _listed(services, asks, f"{model}:{version}", limit, cursor))


@router.post(_OF, response_model=ReportWire, status_code=201)
def attach_report(
    services: Services, asks: Asks, model: Model, version: Label, wanted: NewReport
) -> Response:
    """The version has this report too; the same page again is the same report."""
    told = Told(wanted.kind, wanted.html.encode("utf-8", "replace"), wanted.run, wanted.metrics)
    return answer(services.reports.attach(f"{model}:{version}", told, subject=asks).to_json(), 201)


@router.get(f"{_OF}/{{sha256}}", response_class=HTMLResponse, responses=_PAGE)
def show_report(services: Services, asks: Asks, model: Model, version: Label, sha256: Sha256) -> Response:
    """The page of a report. It runs no script and loads nothing: it is somebody else's."""
    view = services.reports.find(f"{model}:{version}", sha256, subject=asks)
    headers = {
        "Content-Security-Policy": _SHUT,
        "Content-Disposition": f'inline; filename="report-{sha256[7:19]}.html"',
        "Cache-Control": "private, no-cache",
        "ETag": f'"{sha256}"',
    }
    return HTMLResponse(b"".join(services.reports.html(view)), headers=headers)


@router.delete(f"{_OF}/{{sha256}}", status_code=204)
def remove_report(services: Services, asks: Asks, model: Model, version: Label, sha256: Sha256) -> Response:
    """The version has this report no more."""
    services.reports.remove(f"{model}:{version}", sha256, subject=asks)
    return Response(status_code=204)


def _listed(
    services: Composition, asks: Subject, of: str | None, limit: int, cursor: str | None
) -> dict[str, Any]:
    after = key_of(cursor, {"reports": of}, (str, int))
    page = services.reports.page(
        subject=asks, of=of, limit=limit, after=(after[0], after[1]) if after else None
    )
    following = cursor_after(list(page.next), {"reports": of}) if page.next else None
    return {"items": [item.to_json() for item in page.items], "next": following}
