"""Models and their versions."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from mozhu.server.answers import answer, found
from mozhu.server.cursors import cursor_after, key_of
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.specs.wire.models import ModelDetailWire, ModelsPage, RescanWire, ValidationWire
from mozhu.specs.wire.place import PREFIX

router = APIRouter(prefix=PREFIX, tags=["models"], route_class=KeyedRoute)
Name = Annotated[str, Path(min_length=1, max_length=200, description="`name`, `name:v2` or `name@latest`")]
Limit = Annotated[int, Query(ge=1, le=200)]
Search = Annotated[str | None, Query(max_length=200, description="a part of a name, task, tag, base …")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before")]


@router.get("/models", response_model=ModelsPage)
def list_models(
    request: Request,
    services: Services,
    asks: Asks,
    search: Search = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """Models with their newest versions, last changed first."""
    question = {"search": search}
    after = key_of(cursor, question, 2)
    models = services.registry.list_models(search)
    if after:
        models = [model for model in models if [model.updated, model.name] < after]
    shown, rest = models[:limit], models[limit:]
    following = cursor_after([shown[-1].updated, shown[-1].name], question) if rest else None
    return found(request, {"items": [model.to_json() for model in shown], "next": following})


@router.get("/models/{name}", response_model=ModelDetailWire)
def show_model(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """One model with its versions and its history."""
    return found(request, services.registry.show(name).to_json())


@router.post("/models/{name}/validate", response_model=ValidationWire)
def validate_model(services: Services, asks: Asks, name: Name) -> Response:
    """Everything that is wrong with a version's files; it gets the state that they deserve."""
    services.registry.show(name)
    return answer(services.registry.validate(name).to_json())


@router.post("/registry/rescan", response_model=RescanWire)
def rescan_registry(services: Services, asks: Asks, keep: bool = True) -> Response:
    """All rows anew from the sidecars; `keep=false` only tells what would change."""
    return answer(services.registry.rescan(keep=keep).to_json())
