"""Who may do what with a model, and what they think of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from mozhu.app import Composition
from mozhu.platform.accounts.subject import Subject
from mozhu.server.answers import answer, found
from mozhu.server.identity import Asks, Services
from mozhu.server.routes.models import Name
from mozhu.specs.wire.catalogue import NewRating, NewShare, RatingWire, SharesList
from mozhu.specs.wire.place import PREFIX

router = APIRouter(prefix=f"{PREFIX}/models/{{name}}", tags=["sharing"])
Whom = Annotated[str, Path(min_length=1, max_length=210, description="`user:NAME` or `team:NAME`")]


@router.get("/shares", response_model=SharesList)
def list_shares(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """Who the model is shared with, for who may manage it."""
    return found(request, _shares(services, asks, name))


@router.put("/shares/{whom}", response_model=SharesList)
def set_share(services: Services, asks: Asks, name: Name, whom: Whom, wanted: NewShare) -> Response:
    """A user or a team has this right on the model from now on."""
    services.models.share(name, whom, wanted.right, subject=asks)
    return answer(_shares(services, asks, name))


@router.delete("/shares/{whom}", response_model=SharesList)
def remove_share(services: Services, asks: Asks, name: Name, whom: Whom) -> Response:
    """The right is taken back."""
    services.models.share(name, whom, None, subject=asks)
    return answer(_shares(services, asks, name))


@router.get("/rating", response_model=RatingWire)
def show_rating(request: Request, services: Services, asks: Asks, name: Name) -> Response:
    """The mean of the stars, and how many gave them."""
    return found(request, _rating(services, asks, name))


@router.put("/rating", response_model=RatingWire)
def rate_model(services: Services, asks: Asks, name: Name, wanted: NewRating) -> Response:
    """What the caller thinks of the model; a second time replaces the first."""
    services.models.rate(name, wanted.stars, wanted.comment, subject=asks)
    return answer(_rating(services, asks, name))


def _shares(services: Composition, asks: Subject, name: str) -> dict[str, object]:
    shares = services.models.shares(name, subject=asks)
    return {"items": [{"subject": whom, "right": right} for whom, right in shares]}


def _rating(services: Composition, asks: Subject, name: str) -> dict[str, object]:
    mean, count = services.models.rating(name, subject=asks)
    return {"mean": mean, "count": count}
