"""Imports: an upload becomes a version of a model."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from mozhu.platform.imports.views import Wanted
from mozhu.server.answers import answer, found
from mozhu.server.cursors import cursor_after, key_of
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.server.routes.models import Cursor, Limit
from mozhu.specs.wire.imports import ImportsPage, ImportWire, NewImport
from mozhu.specs.wire.place import PREFIX
from mozhu.specs.wire.states import State

router = APIRouter(prefix=PREFIX, tags=["imports"], route_class=KeyedRoute)
Id = Annotated[str, Path(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")]
Plain = Annotated[
    str, Path(min_length=1, max_length=200, description="a model's name; it need not be there yet")
]


@router.post("/models/{name}/versions", response_model=ImportWire, status_code=202)
def import_version(services: Services, asks: Asks, name: Plain, body: NewImport) -> Response:
    """An upload is to become a version, whose name is taken at once; the upload may still be open.

    The files are looked at in the background: follow the import at `Location`, or by its events.
    """
    wanted = Wanted(**{**body.model_dump(), "tags": tuple(body.tags)})
    made = services.imports.create(asks, name, wanted)
    return answer(made.to_json(), 202, {"Location": f"{PREFIX}/imports/{made.id}"})


@router.get("/imports", response_model=ImportsPage)
def list_imports(
    request: Request,
    services: Services,
    asks: Asks,
    state: Annotated[State | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The caller's imports and those into models that the caller may read, newest first."""
    after = key_of(cursor, state, (str, str))
    items, key = services.imports.page(
        asks, limit=limit, state=state, after=(after[0], after[1]) if after else None
    )
    following = cursor_after(list(key), state) if key else None
    return found(request, {"items": [item.to_json() for item in items], "next": following})


@router.get("/imports/{import_id}", response_model=ImportWire)
def show_import(request: Request, services: Services, asks: Asks, import_id: Id) -> Response:
    """How far an import is, and everything that was found."""
    return found(request, services.imports.show(asks, import_id).to_json())


@router.post("/imports/{import_id}/retry", response_model=ImportWire, status_code=202)
def retry_import(services: Services, asks: Asks, import_id: Id) -> Response:
    """A failed or waiting import is looked at from the start; one that is under way goes on."""
    return answer(services.imports.retry(asks, import_id).to_json(), 202)


@router.delete("/imports/{import_id}", status_code=204)
def remove_import(services: Services, asks: Asks, import_id: Id) -> Response:
    """It is given up, or forgotten when it has ended; a version that it became stays."""
    services.imports.remove(asks, import_id)
    return Response(status_code=204)
