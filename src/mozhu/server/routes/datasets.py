"""Data sets and their versions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from mozhu.platform.catalog.searching import ModelQuery
from mozhu.server.answers import answer, found
from mozhu.server.cursors import cursor_after, key_of
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.server.routes.models import Cursor, Limit, Name, Search, Visibility, Word
from mozhu.specs.wire.catalogue import NewCopy
from mozhu.specs.wire.datasets import (
    DatasetDetailWire,
    DatasetKind,
    DatasetReportWire,
    DatasetRowWire,
    DatasetsPage,
)
from mozhu.specs.wire.place import PREFIX
from mozhu.specs.wire.states import State

router = APIRouter(prefix=PREFIX, tags=["datasets"], route_class=KeyedRoute)
Row = Annotated[str, Path(min_length=1, max_length=300, description="a row's number or its id")]


@router.get("/datasets", response_model=DatasetsPage)
def list_datasets(
    request: Request,
    services: Services,
    asks: Asks,
    search: Search = None,
    kind: Annotated[DatasetKind | None, Query(description="what the rows teach")] = None,
    tag: Word = None,
    owner: Word = None,
    team: Word = None,
    state: Annotated[State | None, Query()] = None,
    sort: Annotated[Literal["updated", "name"], Query()] = "updated",
    trash: Annotated[bool, Query(description="what was deleted, and only that")] = False,
    visibility: Visibility = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """The data sets that the caller may read: last changed first, or by name. Each with its newest version, of those
    in `state` if given.
    """
    asked = ModelQuery(search or "", kind, tag, owner, state, sort, trash, team, visibility)
    after = key_of(cursor, asdict(asked), (str, int))
    page = services.datasets.page(asked, subject=asks, limit=limit, after=tuple(after) if after else None)
    following = cursor_after(list(page.next), asdict(asked)) if page.next else None
    return found(request, {"items": [dataset.to_json() for dataset in page.items], "next": following})


@router.get("/datasets/{name}", response_model=DatasetDetailWire)
def show_dataset(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """One data set, how it was made, who used it, and its history."""
    return found(request, services.datasets.show(name, subject=asks).to_json())


@router.post("/datasets/{name}/copy", response_model=DatasetDetailWire, status_code=201)
def copy_dataset(services: Services, asks: Asks, name: Name, wanted: NewCopy) -> Response:
    """The data set, or the one version `name:v2`, under a new name as the caller's own; nothing is copied twice."""
    services.datasets.copy(name, wanted.name, team=wanted.team, subject=asks)
    return answer(services.datasets.show(wanted.name, subject=asks).to_json(), 201)


@router.get("/datasets/{name}/rows/{row}", response_model=DatasetRowWire)
def show_dataset_row(request: Request, services: Services, asks: Asks, name: Name, row: Row) -> Response:
    """One row of a version, and where it came from."""
    return found(request, services.datasets.row(name, row, subject=asks).to_json())


@router.post("/datasets/{name}/validate", response_model=DatasetReportWire)
def validate_dataset(services: Services, asks: Asks, name: Name) -> Response:
    """Everything that is wrong with a version's files; it gets the state that they deserve."""
    return answer(services.datasets.validate_version(name, subject=asks).to_json())
