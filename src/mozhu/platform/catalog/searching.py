"""Pages of models, found as one types: the only SQL of search, one design for both engines.

A search word is a part of anything that is said of a model. Its rarest gram leads to the few models that can match;
where all its grams are common, the models are gone through in their order until the page is full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.access import readable
from mozhu.platform.catalog.events import OF_MODEL
from mozhu.platform.catalog.views import ModelView
from mozhu.platform.database.grams import grams_of, plain
from mozhu.platform.database.tables import Model, Tag, Version
from mozhu.platform.database.tables_assets import SearchGram

Sort = Literal["updated", "name"]
# A gram of more models than this narrows nothing down.
_COMMON = 3000


@dataclass(frozen=True)
class ModelQuery:
    """What is asked for. ``search``: words that all have to be found. ``trash``: what was deleted, and only that."""

    search: str = ""
    type: str | None = None
    tag: str | None = None
    owner: str | None = None
    state: str | None = None
    sort: Sort = "updated"
    trash: bool = False


@dataclass(frozen=True)
class ModelPage:
    """``next`` is the key of the page that follows (``updated`` or ``name``, and ``id``); ``None`` on the last one."""

    items: tuple[ModelView, ...]
    next: tuple[Any, ...] | None

    def to_json(self) -> dict[str, Any]:
        return {
            "items": [item.to_json() for item in self.items],
            "next": list(self.next) if self.next else None,
        }


@dataclass(frozen=True)
class Counts:
    """The statistics cards: models of each type, and of all of them versions and bytes; the trash is not counted."""

    models: int
    versions: int
    size_bytes: int
    by_type: dict[str, int]
    trashed: int

    def to_json(self) -> dict[str, Any]:
        return {**self.__dict__}


def page(
    session: Session, subject: Subject, asked: ModelQuery, limit: int, after: tuple[Any, ...] | None = None
) -> ModelPage:
    """At most ``limit`` models behind the key ``after``, in the order asked for."""
    ids = page_query(session, subject, asked, limit, after)
    if ids is None:
        return ModelPage((), None)
    keys = [row.id for row in session.execute(ids)]
    following = len(keys) > limit
    found = {model.id: (model, version) for model, version in session.execute(_details(keys[:limit]))}
    shown = [found[key] for key in keys[:limit] if key in found]
    last = shown[-1][0] if following and shown else None
    key = None if last is None else (last.name if asked.sort == "name" else last.updated, last.id)
    return ModelPage(tuple(rows.model_view(model, version) for model, version in shown), key)


def page_query(
    session: Session, subject: Subject, asked: ModelQuery, limit: int, after: tuple[Any, ...] | None
) -> Select[int] | None:
    """The ids of a page and of the model behind it; ``None`` where an index already says that there are none."""
    query = select(Model.id).where(readable(subject), *_filters(asked))
    words = plain(asked.search).split()
    if words:
        narrowed = _narrowed(session, words)
        if narrowed is None:
            return None
        query = query.where(*narrowed, *(Model.search_text.contains(word, autoescape=True) for word in words))
    if asked.sort == "name":
        order = [Model.name, Model.id]
        behind = (
            _behind(Model.name > after[0], Model.name == after[0], Model.id > after[1]) if after else None
        )
    else:
        order = [Model.updated.desc(), Model.id.desc()]  # type: ignore[list-item]
        behind = (
            _behind(Model.updated < after[0], Model.updated == after[0], Model.id < after[1])
            if after
            else None
        )
    query = query if behind is None else query.where(behind)
    return query.order_by(*order).limit(limit + 1)


def counts(session: Session, subject: Subject) -> Counts:
    """What the cards of the front page show, as of now."""
    query = select(Model.type, func.count(), func.sum(Model.version_count), func.sum(Model.size_bytes)).where(
        Model.trashed.is_(None), readable(subject)
    )
    found = session.execute(query.group_by(Model.type)).all()
    trashed = select(func.count()).select_from(Model).where(Model.trashed.is_not(None), readable(subject))
    return Counts(
        models=sum(row[1] for row in found),
        versions=int(sum(row[2] for row in found)),
        size_bytes=int(sum(row[3] for row in found)),
        by_type={row[0]: row[1] for row in found},
        trashed=session.scalar(trashed) or 0,
    )


def _behind(
    later: ColumnElement[bool], same: ColumnElement[bool], later_id: ColumnElement[bool]
) -> ColumnElement[bool]:
    return or_(later, and_(same, later_id))


def _filters(asked: ModelQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        Model.trashed.is_not(None) if asked.trash else Model.trashed.is_(None)
    ]
    if asked.type:
        found.append(Model.type == asked.type)
    if asked.owner:
        found.append(Model.owner == asked.owner)
    if asked.tag:
        tagged = select(Version.model_id).join(Tag, Tag.version_id == Version.id)
        found.append(Model.id.in_(tagged.where(Tag.tag == asked.tag, Version.trashed.is_(None))))
    if asked.state:
        of_state = select(Version.model_id).where(Version.state == asked.state, Version.trashed.is_(None))
        found.append(Model.id.in_(of_state))
    return found


def _narrowed(session: Session, words: list[str]) -> list[ColumnElement[bool]] | None:
    """Conditions that an index answers; ``None`` where a gram is nowhere, so that nothing can match."""
    sizes: dict[str, int] = {}
    for gram in sorted(set().union(*(grams_of(word) for word in words))):
        some = select(SearchGram.id).where(SearchGram.kind == OF_MODEL, SearchGram.gram == gram)
        sizes[gram] = (
            session.scalar(select(func.count()).select_from(some.limit(_COMMON + 1).subquery())) or 0
        )
        if not sizes[gram]:
            return None
    rare = sorted((gram for gram, size in sizes.items() if size <= _COMMON), key=sizes.__getitem__)
    return [Model.id.in_(_having(gram)) for gram in rare[:1]]


def _having(gram: str) -> Select[int]:
    return select(SearchGram.id).where(SearchGram.kind == OF_MODEL, SearchGram.gram == gram)


def _details(keys: list[int]) -> Select[Model, Version]:
    return rows.with_newest().where(Model.id.in_(keys))
