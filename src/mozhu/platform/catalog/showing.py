"""A model's page: the model, its versions, its history, all of one state and in one way to the database."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Select, bindparam, select

from mozhu.kernel.errors import UnknownReference
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.events import OF_MODEL, told
from mozhu.platform.catalog.finding import Reader, may_read, number, reader_of
from mozhu.platform.catalog.kinds import MODEL
from mozhu.platform.catalog.references import LATEST, Reference
from mozhu.platform.catalog.views import HistoryView, ModelDetail, VersionView
from mozhu.platform.database.asking import Asked, Question
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables import History, Model, Version
from mozhu.platform.database.tables_assets import Alias

_HISTORY_LINES = 50
_NAMED = 5
_SHAPES = 512
_LISTING = rows.LISTING
_MINE = (Model.name == bindparam("name"),)


def _versions() -> Select[Any]:
    query = select(*_LISTING.of_version).select_from(Version).join(Model, Version.model_id == Model.id)
    return query.where(*_MINE, Version.trashed.is_(None), Model.trashed.is_(None))


# The first version of a model that has these contents.
BY_CHECKSUM = Question(
    _versions().where(Version.checksum == bindparam("checksum")).order_by(Version.seq).limit(number(1))
)


def shown(
    database: Database, subject: Subject, wanted: Reference, limit: int | None, before: int | None
) -> ModelDetail | None:
    """The page of ``wanted``; ``None`` where there is no such model that ``subject`` may read.

    Raises:
        UnknownReference: REG-001, the model has no version of this name.
    """
    reader, values = reader_of(subject)
    values |= {"name": wanted.name, "before": before}
    values |= {"label": wanted.version, "alias": wanted.alias}
    asked: list[Asked] = [
        _model_question(reader).of(**values),
        _versions_question(limit, before is not None).of(**values),
        _history_question().of(**values),
    ]
    is_named = wanted.version is not None or wanted.alias not in (None, LATEST)
    if is_named:
        asked.append(_chosen_question(wanted.version is not None).of(**values))
    models, versions, history, *named = database.ask(*asked)
    if not models:
        return None
    model = _LISTING.read(models)[0][1]
    found = [_LISTING.version_of(row) for row in versions]
    chosen = [_LISTING.version_of(row) for row in named[0]] if is_named else [model.newest]
    if not chosen:
        raise unknown_version(wanted, found[:_NAMED])
    lines = (
        HistoryView(time, what, of, label, told(details, subject))
        for time, what, of, label, details in history
    )
    page = tuple(found[:limit])
    following = page[-1].seq if len(found) > len(page) else None
    return ModelDetail(model, chosen[0], page, tuple(lines), following)


def unknown_version(wanted: Reference, versions: Sequence[VersionView]) -> UnknownReference:
    """What to say of a version that its model has not; ``versions``: some that it has."""
    known = [version.reference for version in versions]
    return UnknownReference(reference=str(wanted), known=[*known, f"{wanted.name}@{LATEST}"])


@lru_cache(_SHAPES)
def _model_question(reader: Reader | None) -> Question:
    return Question(
        select(*_LISTING.columns)
        .select_from(Model)
        .join(Version, (Version.model_id == Model.id) & (Version.seq == _LISTING.newest(in_state=False)))
        .where(*_MINE, Model.trashed.is_(None), *may_read(MODEL, reader))
    )


@lru_cache(_SHAPES)
def _versions_question(limit: int | None, is_behind: bool) -> Question:
    query = _versions().order_by(Version.seq.desc())
    if is_behind:
        query = query.where(Version.seq < bindparam("before"))
    return Question(query if limit is None else query.limit(number(limit + 1)))


@lru_cache(2)
def _chosen_question(is_label: bool) -> Question:
    if is_label:
        return Question(_versions().where(Version.label == bindparam("label")))
    return Question(
        _versions().join(Alias, Alias.version_id == Version.id).where(Alias.name == bindparam("alias"))
    )


@lru_cache(1)
def _history_question() -> Question:
    columns = (History.time, History.what, History.model, History.version, History.details)
    query = select(*columns).where(History.model == bindparam("name"), History.subject == OF_MODEL)
    return Question(query.order_by(History.id.desc()).limit(number(_HISTORY_LINES)))
