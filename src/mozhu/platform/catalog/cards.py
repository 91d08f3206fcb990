"""The card of a model or a data set: what belongs to it and to none of its version folders, in one file.

``5_models/.cards/<owner>/<name>.json`` (``.dataset-cards`` for data sets) is written with every change, so that
``registry rescan`` knows it all again: type, words, rights, aliases, ratings, notes, reports, what is in the trash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import make_folder
from mozhu.platform.catalog.kinds import DATASET, MODEL, Kind
from mozhu.platform.catalog.words import reindex
from mozhu.platform.database.tables import LOCAL
from mozhu.platform.database.tables_assets import ReportRow
from mozhu.specs.records.base import Record

CARDS = {MODEL.name: ".cards", DATASET.name: ".dataset-cards"}


class VersionCard(BaseModel):
    """What a version's own folder does not say."""

    model_config = ConfigDict(extra="allow")

    notes: str = ""
    trashed: str | None = None
    trashed_by: str = ""
    reports: list[dict[str, Any]] = []
    # Only where they were changed after the registration; else those of the version's own record hold.
    tags: list[str] | None = None


class AssetCard(Record):
    """``versions`` by their labels; ``aliases``: name, version, protected; ``shares``: subject, right."""

    name: str
    owner: str = LOCAL
    team: str = LOCAL
    description: str = ""
    licence: str = ""
    visibility: str = "private"
    trashed: str | None = None
    trashed_by: str = ""
    aliases: list[dict[str, Any]] = []
    shares: list[dict[str, str]] = []
    ratings: list[dict[str, Any]] = []
    versions: dict[str, VersionCard] = {}


class ModelCard(AssetCard):
    """A model's."""

    type: str = "text"
    base_reference: str = ""


class DatasetCard(AssetCard):
    """A data set's."""


_CARD: dict[str, type[AssetCard]] = {MODEL.name: ModelCard, DATASET.name: DatasetCard}
_OF_REPORT = ("kind", "run", "metrics", "sha256", "size", "created", "attached_by")


def card_path(models: Path, owner: str, name: str, kind: Kind = MODEL) -> Path:
    return models / CARDS[kind.name] / owner / f"{name}.json"


def card_of(session: Session, asset: Any, kind: Kind = MODEL, tagged: Collection[str] = ()) -> AssetCard:
    """The card as the rows say it; ``tagged`` are the versions whose tags were changed."""
    versions = {version.id: version for version in _versions(session, asset, kind)}
    reports = _reports(session, asset) if kind is MODEL else {}
    told = {
        version.label: VersionCard(
            notes=version.notes,
            trashed=version.trashed,
            trashed_by=version.trashed_by,
            reports=reports.get(version.id, []),
            tags=[tag.tag for tag in version.tags] if version.label in tagged else None,
        )
        for version in versions.values()
        if version.notes or version.trashed or version.id in reports or version.label in tagged
    }
    aliases, shares, ratings = (_rows_of(session, asset, kind, table) for table in _beside(kind))
    return _CARD[kind.name](
        name=asset.name,
        owner=asset.owner,
        **{field: getattr(asset, field) for field in kind.fields},
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


def write_card(
    models: Path, session: Session, asset: Any, kind: Kind = MODEL, *, tagged: Collection[str] = ()
) -> None:
    """The file says what the rows say; called by the only writer, before it commits."""
    session.flush()
    path = card_path(models, asset.owner, asset.name, kind)
    make_folder(path.parent)
    card_of(session, asset, kind, {*tagged, *_tagged(path, kind)}).write(path)


def _tagged(path: Path, kind: Kind) -> set[str]:
    """The versions whose tags were changed before, as the card there says."""
    try:
        versions = _CARD[kind.name].read(path).versions
    except MozhuError:
        return set()
    return {label for label, told in versions.items() if told.tags is not None}


def strange_cards(models: Path, session: Session, kind: Kind = MODEL) -> Iterator[tuple[Path, Any]]:
    """Cards that say something else than the rows of their model or data set, each with its row.

    A change that was killed after its card was written and before it was committed leaves one behind: nobody was told
    that it was made.
    """
    table = kind.table
    for path in sorted((models / CARDS[kind.name]).glob("*/*.json")):
        query = select(table).where(table.owner == path.parent.name, table.name == path.stem)
        asset = session.scalar(query)
        if asset is None:
            continue
        if not _says(path, card_of(session, asset, kind, _tagged(path, kind)), kind):
            yield path, asset


def _says(path: Path, card: AssetCard, kind: Kind) -> bool:
    try:
        return _CARD[kind.name].read(path).to_json() == card.to_json()
    except MozhuError:
        return False


def apply_cards(models: Path, session: Session, kind: Kind = MODEL) -> None:
    """Everything of a kind that has a card and rows is as its card says."""
    for path in sorted((models / CARDS[kind.name]).glob("*/*.json")):
        try:
            card = _CARD[kind.name].read(path)
        except MozhuError:
            continue
        table = kind.table
        asset = session.scalar(select(table).where(table.owner == card.owner, table.name == card.name))
        if asset is not None:
            _apply(session, asset, card, kind)


def _apply(session: Session, asset: Any, card: AssetCard, kind: Kind) -> None:
    for field in kind.fields:
        setattr(asset, field, getattr(card, field))
    versions = {version.label: version for version in _versions(session, asset, kind)}
    for label, told in card.versions.items():
        if label in versions:
            versions[label].notes = told.notes
            versions[label].trashed, versions[label].trashed_by = told.trashed, told.trashed_by
            if told.tags is not None:
                versions[label].tags = kind.tags(told.tags)
            reports = [{"version_id": versions[label].id, **_report(one)} for one in told.reports]
            if reports:
                session.execute(insert(ReportRow), reports)
    if all(version.trashed for version in versions.values()):
        # The versions that kept it are gone from disk: what is left comes back.
        for version in versions.values():
            version.trashed = None
    key = kind.key(asset)
    for table in _beside(kind):
        session.execute(delete(table).where(kind.of(table) == asset.id))
    session.add_all(
        kind.alias(
            **key, name=one["name"], version_id=versions[one["version"]].id, protected=one["protected"]
        )
        for one in card.aliases
        if one["version"] in versions
    )
    session.add_all(kind.share(**key, **one) for one in card.shares)
    session.add_all(kind.rating(**key, **one) for one in card.ratings)
    recount(session, asset, kind)
    reindex(session, kind, asset)


def recount(session: Session, asset: Any, kind: Kind = MODEL) -> None:
    """``version_count``, ``size_bytes`` and, of a data set, ``kind`` as the versions outside of the trash are."""
    session.flush()
    here = [version for version in _versions(session, asset, kind) if version.trashed is None]
    asset.version_count = len(here)
    asset.size_bytes = sum(version.size_bytes for version in here)
    if kind is DATASET and here:
        asset.kind = here[-1].kind
    session.flush()


def _beside(kind: Kind) -> tuple[Any, Any, Any]:
    return kind.alias, kind.share, kind.rating


def _rows_of(session: Session, asset: Any, kind: Kind, table: Any) -> list[Any]:
    """The rows of ``table`` about ``asset``, in the order of their own keys."""
    keys = [column for column in table.__table__.primary_key if column.name != kind.parent]
    return list(session.scalars(select(table).where(kind.of(table) == asset.id).order_by(*keys)))


def _versions(session: Session, asset: Any, kind: Kind) -> list[Any]:
    version = kind.version
    return list(session.scalars(select(version).where(kind.of(version) == asset.id).order_by(version.seq)))


def _reports(session: Session, asset: Any) -> dict[int, list[dict[str, Any]]]:
    """The reports of a model by the ids of its versions, oldest first."""
    version = MODEL.version
    query = select(ReportRow).join(version, version.id == ReportRow.version_id)
    query = query.where(version.model_id == asset.id).order_by(ReportRow.created, ReportRow.sha256)
    found: dict[int, list[dict[str, Any]]] = {}
    for row in session.scalars(query):
        found.setdefault(row.version_id, []).append({name: getattr(row, name) for name in _OF_REPORT})
    return found


def _report(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in _OF_REPORT}
