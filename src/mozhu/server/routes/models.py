"""Models and their versions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from mozhu.app import Composition
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.server.answers import answer, found
from mozhu.server.cursors import cursor_after, key_of
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.specs.wire.catalogue import NewCopy
from mozhu.specs.wire.models import ModelDetailWire, ModelsPage, RescanWire, ValidationWire
from mozhu.specs.wire.place import PREFIX
from mozhu.specs.wire.states import State

router = APIRouter(prefix=PREFIX, tags=["models"], route_class=KeyedRoute)
Name = Annotated[str, Path(min_length=1, max_length=200, description="`name`, `name:v2` or `name@latest`")]
PAGE = 50
Limit = Annotated[int, Query(ge=1, le=200)]
Search = Annotated[str | None, Query(max_length=200, description="a part of a name, task, tag, base …")]
Keep = Annotated[bool, Query(description="`false` only tells what would be done")]
Visibility = Annotated[
    Literal["private", "team", "everyone"] | None, Query(description="`everyone`: the market")
]
Word = Annotated[str | None, Query(min_length=1, max_length=200)]
ModelType = Literal["text", "image", "file"]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next` of the page before")]


@router.get("/models", response_model=ModelsPage)
def list_models(
    request: Request,
    services: Services,
    asks: Asks,
    search: Search = None,
    type: Annotated[ModelType | None, Query()] = None,
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
    """The models that the caller may read with their newest versions: last changed first, or by name."""
    asked = ModelQuery(search or "", type, tag, owner, state, sort, trash, team, visibility)
    after = key_of(cursor, asdict(asked), (str, int))
    page = services.models.page(asked, subject=asks, limit=limit, after=tuple(after) if after else None)
    following = cursor_after(list(page.next), asdict(asked)) if page.next else None
    return found(request, {"items": [model.to_json() for model in page.items], "next": following})


@router.get("/models/{name}", response_model=ModelDetailWire)
def show_model(
    request: Request,
    services: Services,
    asks: Asks,
    name: Name,
    limit: Limit = PAGE,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="`next` of the answer before")] = None,
) -> Response:
    """One model with its newest versions and its history; `next` leads to older versions."""
    return found(request, detail_of(services, asks, name, limit, before))


def detail_of(
    services: Composition, asks: Subject, name: str, limit: int = PAGE, before: int | None = None
) -> dict[str, Any]:
    """A model as its page shows it: with what is on its way to becoming a version."""
    shown = services.registry.show(name, subject=asks, limit=limit, before=before)
    coming = services.imports.unfinished(shown.model.name)
    return {**shown.to_json(), "imports": [item.to_json() for item in coming]}


@router.post("/models/{name}/copy", response_model=ModelDetailWire, status_code=201)
def copy_model(services: Services, asks: Asks, name: Name, wanted: NewCopy) -> Response:
    """The model, or the one version `name:v2`, under a new name as the caller's own; nothing is copied twice."""
    services.models.copy(name, wanted.name, team=wanted.team, subject=asks)
    return answer(detail_of(services, asks, wanted.name), 201)


@router.post("/models/{name}/validate", response_model=ValidationWire)
def validate_model(services: Services, asks: Asks, name: Name) -> Response:
    """Everything that is wrong with a version's files; it gets the state that they deserve."""
    return answer(services.registry.validate_version(name, subject=asks).to_json())


@router.post("/registry/rescan", response_model=RescanWire)
def rescan_registry(services: Services, asks: Asks, keep: bool = True) -> Response:
    """All rows anew from the sidecars; `keep=false` only tells what would change. Only for administrators."""
    return answer(services.registry.rescan(subject=asks, keep=keep).to_json())
