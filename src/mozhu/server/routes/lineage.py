"""Where things come from, what the naming rules say, and the statistics cards."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from mozhu.server.answers import found
from mozhu.server.identity import Asks, Services
from mozhu.server.routes.models import Name
from mozhu.specs.wire.catalogue import AdviceList, FamilyWire, NextVersionWire, StatisticsWire
from mozhu.specs.wire.place import PREFIX

router = APIRouter(prefix=PREFIX, tags=["lineage"])
Of = Annotated[
    str,
    Query(
        min_length=1, max_length=500, description="`name:v2`, `dataset://data:v3`, `data:v3#118`, `run://…`"
    ),
]


@router.get("/lineage", response_model=FamilyWire)
def show_lineage(request: Request, services: Services, asks: Asks, of: Of) -> Response:
    """Everything that a version, row, data set or run came from, and everything that came from it."""
    return found(request, services.models.family(of, subject=asks).to_json())


@router.get("/models/{name}/advice", response_model=AdviceList)
def show_advice(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """What the naming rules say of a version, its model's name and its note, with what would follow them."""
    advice = services.models.advice(name, subject=asks)
    return found(request, {"items": [each.to_json() for each in advice]})


@router.get("/models/{name}/next-version", response_model=NextVersionWire)
def suggest_version(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """The name that the next version would have."""
    return found(request, {"version": services.models.suggest(name, subject=asks)})


@router.get("/statistics", response_model=StatisticsWire)
def show_statistics(request: Request, services: Services, asks: Asks) -> Response:
    """How many models of each type, versions and bytes the caller may read, as of now."""
    return found(request, services.models.counts(subject=asks).to_json())
