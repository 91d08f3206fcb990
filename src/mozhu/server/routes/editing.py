"""Models changed, deleted and taken back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from mozhu.app import Composition
from mozhu.kernel.errors import BadValue
from mozhu.platform.accounts.subject import Subject
from mozhu.server.answers import answer, check_unchanged
from mozhu.server.identity import Asks, Services
from mozhu.server.keyed import KeyedRoute
from mozhu.server.routes.models import Keep, Name, detail_of
from mozhu.specs.wire.catalogue import DeletedWire, ModelEdit, NotesEdit, TagsEdit
from mozhu.specs.wire.models import ModelDetailWire
from mozhu.specs.wire.place import PREFIX

router = APIRouter(prefix=PREFIX, tags=["models"], route_class=KeyedRoute)
Confirm = Annotated[str, Query(max_length=400, description="the name again: that this is meant")]
Force = Annotated[str, Query(max_length=400, description="the name again, for what is in use")]
Days = Annotated[int, Query(ge=0, le=36_500, description="only what has been in the trash for so long")]


@router.patch("/models/{name}", response_model=ModelDetailWire)
def edit_model(request: Request, services: Services, asks: Asks, name: Name, wanted: ModelEdit) -> Response:
    """Type, description, licence, visibility or base; with `If-Match` only what the caller saw last is changed."""
    before = _unchanged(request, services, asks, name)
    services.models.edit(name, subject=asks, before=before, **wanted.model_dump(exclude_none=True))
    return _shown(services, asks, name)


@router.put("/models/{name}/notes", response_model=ModelDetailWire)
def set_notes(request: Request, services: Services, asks: Asks, name: Name, wanted: NotesEdit) -> Response:
    """The note of the version `name:v2`."""
    before = _unchanged(request, services, asks, name)
    services.models.set_notes(name, wanted.notes, subject=asks, before=before)
    return _shown(services, asks, name)


@router.put("/models/{name}/tags", response_model=ModelDetailWire)
def set_tags(request: Request, services: Services, asks: Asks, name: Name, wanted: TagsEdit) -> Response:
    """The tags of the version `name:v2`, in place of those before."""
    before = _unchanged(request, services, asks, name)
    services.models.set_tags(name, wanted.tags, subject=asks, before=before)
    return _shown(services, asks, name)


@router.delete("/models/{name}", response_model=DeletedWire)
def delete_model(
    services: Services, asks: Asks, name: Name, confirm: Confirm = "", force: Force = "", keep: Keep = True
) -> Response:
    """A version (`name:v2`), or a model with all its versions, into the trash; `confirm` says the name again."""
    told = services.models.delete(name, subject=asks, force=force, keep=False)
    if keep:
        confirmed(confirm, name)
        told = services.models.delete(name, subject=asks, force=force)
    return answer({"deleted": list(told)})


@router.post("/models/{name}/restore", response_model=ModelDetailWire)
def restore_model(services: Services, asks: Asks, name: Name) -> Response:
    """A version or a model out of the trash."""
    services.models.restore(name, subject=asks)
    return _shown(services, asks, name)


@router.post("/trash/empty", response_model=DeletedWire)
def empty_trash(
    services: Services, asks: Asks, confirm: Confirm = "", days: Days = 30, keep: Keep = True
) -> Response:
    """What is in the trash goes for good, data sets as `dataset://…`; `confirm=trash`. Only for administrators."""
    told = _emptied(services, asks, days, keep=False)
    if keep:
        confirmed(confirm, "trash")
        told = _emptied(services, asks, days, keep=True)
    return answer({"deleted": told})


def _emptied(services: Composition, asks: Subject, days: int, *, keep: bool) -> list[str]:
    """References of models, then of data sets as `dataset://name:v2`."""
    models = services.models.empty_trash(subject=asks, days=days, keep=keep)
    datasets = services.datasets.empty_trash(subject=asks, days=days, keep=keep)
    return [*models, *(f"dataset://{reference}" for reference in datasets)]


def confirmed(confirm: str, name: str) -> None:
    """Raises BadValue: REG-025 unless ``confirm`` says the name again."""
    if confirm != name:
        raise BadValue(value=confirm, field="confirm", known=[name])


def _shown(services: Composition, asks: Subject, name: str) -> Response:
    return answer(detail_of(services, asks, name))


def _unchanged(request: Request, services: Composition, asks: Subject, name: str) -> Callable[[], None]:
    """Asked inside the change itself, so that of two who saw the same only one may change it."""

    def check() -> None:
        if "if-match" in request.headers:
            check_unchanged(request, name, detail_of(services, asks, name))

    return check
