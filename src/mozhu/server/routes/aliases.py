"""Names that point to one version of a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from mozhu.platform.catalog.assets import AliasView
from mozhu.server.answers import answer, found
from mozhu.server.identity import Asks, Services
from mozhu.server.routes.models import Keep, Name
from mozhu.specs.wire.catalogue import AliasesList, NewAlias
from mozhu.specs.wire.place import PREFIX

router = APIRouter(prefix=f"{PREFIX}/models/{{name}}/aliases", tags=["aliases"])
Alias = Annotated[str, Path(min_length=1, max_length=200)]


@router.get("", response_model=AliasesList)
def list_aliases(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """The aliases of a model; `latest` is always there and not among them."""
    return found(request, told(services.models.aliases(name, subject=asks)))


@router.put("/{alias}", response_model=AliasesList)
def set_alias(
    services: Services, asks: Asks, name: Name, alias: Alias, wanted: NewAlias, keep: Keep = True
) -> Response:
    """`name@alias` is this version from now on."""
    given: dict[str, Any] = {
        "protected": wanted.protected,
        "force": wanted.force,
        "subject": asks,
        "keep": keep,
    }
    return answer(told(services.models.set_alias(f"{name}:{wanted.version}", alias, **given)))


@router.delete("/{alias}", response_model=AliasesList)
def remove_alias(
    services: Services, asks: Asks, name: Name, alias: Alias, force: bool = False, keep: Keep = True
) -> Response:
    """The alias is no more; a protected one only with `force`."""
    return answer(told(services.models.remove_alias(name, alias, force=force, subject=asks, keep=keep)))


def told(aliases: Iterable[AliasView]) -> dict[str, object]:
    return {"items": [asdict(alias) for alias in aliases]}
