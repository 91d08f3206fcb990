"""Data sets changed, shared, named by aliases, rated, deleted and taken back: as models are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from mozhu.app import Composition
from mozhu.platform.accounts.subject import Subject
from mozhu.server.answers import answer, check_unchanged, found
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.server.routes.aliases import Alias, told
from mozhu.server.routes.editing import Confirm, Force, confirmed
from mozhu.server.routes.models import Keep, Name
from mozhu.server.routes.sharing import Whom
from mozhu.specs.wire.catalogue import (
    AliasesList,
    DeletedWire,
    NewAlias,
    NewRating,
    NewShare,
    NotesEdit,
    RatingWire,
    SharesList,
    TagsEdit,
)
from mozhu.specs.wire.datasets import DatasetDetailWire, DatasetEdit
from mozhu.specs.wire.place import PREFIX

router = APIRouter(prefix=f"{PREFIX}/datasets/{{name}}", tags=["datasets"], route_class=KeyedRoute)


@router.patch("", response_model=DatasetDetailWire)
def edit_dataset(
    request: Request, services: Services, asks: Asks, name: Name, wanted: DatasetEdit
) -> Response:
    """Description, licence or visibility; with `If-Match` only what the caller saw last is changed."""
    before = _unchanged(request, services, asks, name)
    services.datasets.edit(name, subject=asks, before=before, **wanted.model_dump(exclude_none=True))
    return _shown(services, asks, name)


@router.put("/notes", response_model=DatasetDetailWire)
def set_dataset_notes(
    request: Request, services: Services, asks: Asks, name: Name, wanted: NotesEdit
) -> Response:
    """The note of the version `name:v2`."""
    before = _unchanged(request, services, asks, name)
    services.datasets.set_notes(name, wanted.notes, subject=asks, before=before)
    return _shown(services, asks, name)


@router.put("/tags", response_model=DatasetDetailWire)
def set_dataset_tags(
    request: Request, services: Services, asks: Asks, name: Name, wanted: TagsEdit
) -> Response:
    """The tags of the version `name:v2`, in place of those before."""
    before = _unchanged(request, services, asks, name)
    services.datasets.set_tags(name, wanted.tags, subject=asks, before=before)
    return _shown(services, asks, name)


@router.delete("", response_model=DeletedWire)
def delete_dataset(
    services: Services, asks: Asks, name: Name, confirm: Confirm = "", force: Force = "", keep: Keep = True
) -> Response:
    """A version (`name:v2`), or a data set with all its versions, into the trash; `confirm` says the name again."""
    gone = services.datasets.delete(name, subject=asks, force=force, keep=False)
    if keep:
        confirmed(confirm, name)
        gone = services.datasets.delete(name, subject=asks, force=force)
    return answer({"deleted": list(gone)})


@router.post("/restore", response_model=DatasetDetailWire)
def restore_dataset(services: Services, asks: Asks, name: Name) -> Response:
    """A version or a data set out of the trash."""
    services.datasets.restore(name, subject=asks)
    return _shown(services, asks, name)


@router.get("/shares", response_model=SharesList)
def list_dataset_shares(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """Who the data set is shared with, for who may manage it."""
    return found(request, _shares(services, asks, name))


@router.put("/shares/{whom}", response_model=SharesList)
def set_dataset_share(services: Services, asks: Asks, name: Name, whom: Whom, wanted: NewShare) -> Response:
    """A user or a team has this right on the data set from now on."""
    services.datasets.share(name, whom, wanted.right, subject=asks)
    return answer(_shares(services, asks, name))


@router.delete("/shares/{whom}", response_model=SharesList)
def remove_dataset_share(services: Services, asks: Asks, name: Name, whom: Whom) -> Response:
    """The right is taken back."""
    services.datasets.share(name, whom, None, subject=asks)
    return answer(_shares(services, asks, name))


@router.get("/aliases", response_model=AliasesList)
def list_dataset_aliases(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """The aliases of a data set; `latest` is always there and not among them."""
    return found(request, told(services.datasets.aliases(name, subject=asks)))


@router.put("/aliases/{alias}", response_model=AliasesList)
def set_dataset_alias(
    services: Services, asks: Asks, name: Name, alias: Alias, wanted: NewAlias, keep: Keep = True
) -> Response:
    """`name@alias` is this version from now on."""
    given: dict[str, Any] = {
        "protected": wanted.protected,
        "force": wanted.force,
        "subject": asks,
        "keep": keep,
    }
    return answer(told(services.datasets.set_alias(f"{name}:{wanted.version}", alias, **given)))


@router.delete("/aliases/{alias}", response_model=AliasesList)
def remove_dataset_alias(
    services: Services, asks: Asks, name: Name, alias: Alias, force: bool = False, keep: Keep = True
) -> Response:
    """The alias is no more; a protected one only with `force`."""
    return answer(told(services.datasets.remove_alias(name, alias, force=force, subject=asks, keep=keep)))


@router.get("/rating", response_model=RatingWire)
def show_dataset_rating(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """The mean of the stars, and how many gave them."""
    return found(request, _rating(services, asks, name))


@router.put("/rating", response_model=RatingWire)
def rate_dataset(services: Services, asks: Asks, name: Name, wanted: NewRating) -> Response:
    """What the caller thinks of the data set; a second time replaces the first."""
    services.datasets.rate(name, wanted.stars, wanted.comment, subject=asks)
    return answer(_rating(services, asks, name))


def _shares(services: Composition, asks: Subject, name: str) -> dict[str, object]:
    shares = services.datasets.shares(name, subject=asks)
    return {"items": [{"subject": whom, "right": right} for whom, right in shares]}


def _rating(services: Composition, asks: Subject, name: str) -> dict[str, object]:
    mean, count = services.datasets.rating(name, subject=asks)
    return {"mean": mean, "count": count}


def _shown(services: Composition, asks: Subject, name: str) -> Response:
    return answer(services.datasets.show(name, subject=asks).to_json())


def _unchanged(request: Request, services: Composition, asks: Subject, name: str) -> Callable[[], None]:
    """Asked inside the change itself, so that of two who saw the same only one may change it."""

    def check() -> None:
        if "if-match" in request.headers:
            check_unchanged(request, name, services.datasets.show(name, subject=asks).to_json())

    return check
