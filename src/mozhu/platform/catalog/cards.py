"""A model's card: what belongs to a model and to none of its version folders, in one file below ``5_models``.

``5_models/.cards/<owner>/<name>.json`` is written with every change, so that ``registry rescan`` knows it all again:
type, words, rights, aliases, ratings, notes, and what is in the trash.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import make_folder
from mozhu.platform.catalog import rows
from mozhu.platform.database.tables import LOCAL, Model, Version
from mozhu.platform.database.tables_assets import Alias, Rating, Share
from mozhu.specs.records.base import Record

CARDS = ".cards"


class VersionCard(BaseModel):
    """What a version's own folder does not say."""

    model_config = ConfigDict(extra="allow")

    notes: str = ""
    trashed: str | None = None
    trashed_by: str = ""


class ModelCard(Record):
    """``versions`` by their labels; ``aliases``: name, version, protected; ``shares``: subject, right."""

    name: str
    owner: str = LOCAL
    team: str = LOCAL
    type: str = "text"
    description: str = ""
    licence: str = ""
    visibility: str = "private"
    base_reference: str = ""
    trashed: str | None = None
    trashed_by: str = ""
    aliases: list[dict[str, Any]] = []
    shares: list[dict[str, str]] = []
    ratings: list[dict[str, Any]] = []
    versions: dict[str, VersionCard] = {}


_FIELDS = (
    "team",
    "type",
    "description",
    "licence",
    "visibility",
    "base_reference",
    "trashed",
    "trashed_by",
)


def card_path(models: Path, owner: str, name: str) -> Path:
    return models / CARDS / owner / f"{name}.json"


def card_of(session: Session, model: Model) -> ModelCard:
    """The card as the rows say it."""
    versions = {version.id: version for version in _versions(session, model)}
    aliases = session.scalars(select(Alias).where(Alias.model_id == model.id).order_by(Alias.name))
    shares = session.scalars(select(Share).where(Share.model_id == model.id).order_by(Share.subject))
    ratings = session.scalars(select(Rating).where(Rating.model_id == model.id).order_by(Rating.user))
    told = {
        version.label: VersionCard(
            notes=version.notes, trashed=version.trashed, trashed_by=version.trashed_by
        )
        for version in versions.values()
        if version.notes or version.trashed
    }
    return ModelCard(
        name=model.name,
        owner=model.owner,
        **{field: getattr(model, field) for field in _FIELDS},
        aliases=[
            {"name": one.name, "version": versions[one.version_id].label, "protected": one.protected}
            for one in aliases
        ],
        shares=[{"subject": one.subject, "right": one.right} for one in shares],
        ratings=[
            {"user": one.user, "stars": one.stars, "comment": one.comment, "time": one.time}
            for one in ratings
        ],
        versions=told,
    )


def write_card(models: Path, session: Session, model: Model) -> None:
    """The file says what the rows say; called by the only writer, before it commits."""
    session.flush()
    path = card_path(models, model.owner, model.name)
    make_folder(path.parent)
    card_of(session, model).write(path)


def apply_cards(models: Path, session: Session) -> None:
    """Every model that has a card and rows is as its card says."""
    for path in sorted((models / CARDS).glob("*/*.json")):
        try:
            card = ModelCard.read(path)
        except MozhuError:
            continue
        query = select(Model).where(Model.owner == card.owner, Model.name == card.name)
        model = session.scalar(query)
        if model is not None:
            _apply(session, model, card)


def _apply(session: Session, model: Model, card: ModelCard) -> None:
    for field in _FIELDS:
        setattr(model, field, getattr(card, field))
    versions = {version.label: version for version in _versions(session, model)}
    for label, told in card.versions.items():
        if label in versions:
            versions[label].notes = told.notes
            versions[label].trashed, versions[label].trashed_by = told.trashed, told.trashed_by
    if all(version.trashed for version in versions.values()):
        # The versions that kept the model are gone from disk: what is left comes back.
        for version in versions.values():
            version.trashed = None
    for table in (Alias, Share, Rating):
        session.execute(delete(table).where(table.model_id == model.id))
    session.add_all(
        Alias(
            model_id=model.id,
            name=one["name"],
            version_id=versions[one["version"]].id,
            protected=one["protected"],
        )
        for one in card.aliases
        if one["version"] in versions
    )
    session.add_all(Share(model_id=model.id, **one) for one in card.shares)
    session.add_all(Rating(model_id=model.id, **one) for one in card.ratings)
    recount(session, model)
    rows.reindex(session, model)


def recount(session: Session, model: Model) -> None:
    """``version_count`` and ``size_bytes`` as the versions outside of the trash are."""
    session.flush()
    here = [version for version in _versions(session, model) if version.trashed is None]
    model.version_count = len(here)
    model.size_bytes = sum(version.size_bytes for version in here)
    session.flush()


def _versions(session: Session, model: Model) -> list[Version]:
    return list(session.scalars(select(Version).where(Version.model_id == model.id).order_by(Version.seq)))
