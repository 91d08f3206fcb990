"""Pages of models, found as one types: the only SQL of search, one design for both engines.

A search word is a part of anything that is said of a model. Its rarest gram leads to the few models that can match.
Where all its grams are common, the first models in the order asked for are gone through, which fills a page with what
is common; what is not found there is looked for by several grams together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, func, literal, select, true, tuple_, union, union_all
from sqlalchemy.orm import Session, aliased

from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.access import readable
from mozhu.platform.catalog.events import OF_MODEL
from mozhu.platform.catalog.views import ModelView
from mozhu.platform.database.grams import grams_of, plain
from mozhu.platform.database.tables import Model, Tag, Version
from mozhu.platform.database.tables_assets import SearchGram, Share

Sort = Literal["updated", "name"]
# A gram of fewer models than this is enough by itself.
_RARE = 500
# Of common grams so many are looked for together, after so many models have been gone through in their order.
_MOST_GRAMS, _WINDOW = 3, 1000
# From so many on a condition is asked of each model in its turn, below that its models are gathered first.
_MANY = 3000
# Everyone's list has two conditions: what may be read, and what is not in the trash.
_NO_FILTERS = 2


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
    found = rows.listed(session, ids, _order(asked, Model))
    shown = found[:limit]
    following = None
    if len(found) > limit:
        number, last = shown[-1]
        following = (last.name if asked.sort == "name" else last.updated, number)
    return ModelPage(tuple(view for _, view in shown), following)


def page_query(
    session: Session, subject: Subject, asked: ModelQuery, limit: int, after: tuple[Any, ...] | None
) -> Select[int] | None:
    """The ids of a page and of the model behind it; ``None`` where an index already says that there are none."""
    filters = [*_may_read(session, subject), *_filters(session, asked)]
    query = select(Model.id).where(*filters, *_behind(asked, after))
    query = query.order_by(*_order(asked, Model)).limit(limit + 1)
    words = plain(asked.search).split()
    if not words:
        return query
    has_words = _contain(Model.search_text, words)
    grams = _grams(session, words)
    if not grams:  # a single letter is no gram
        return query.where(*has_words)
    if any(gram.count == 0 for gram in grams):
        return None
    if grams[0].is_rare:
        return query.where(*has_words, Model.id.in_(_having(grams[:1])))
    first = _first(session, query, words, asked, limit)
    is_all = len(filters) > _NO_FILTERS and session.scalar(query.offset(_WINDOW).limit(1)) is None
    if len(first) > limit or is_all:
        return select(Model.id).where(Model.id.in_(first))
    having = _having(grams[:_MOST_GRAMS]).cte("having").prefix_with("MATERIALIZED")
    return query.join(having, having.c.id == Model.id).where(*has_words)


def _first(
    session: Session, query: Select[int], words: list[str], asked: ModelQuery, limit: int
) -> list[int]:
    """Those with ``words`` among the first models of ``query``."""
    columns = (Model.id, Model.name, Model.updated, Model.search_text)
    window = query.limit(_WINDOW).with_only_columns(*columns).subquery()
    found = select(window.c.id).where(*_contain(window.c.search_text, words))
    return list(session.scalars(found.order_by(*_order(asked, window.c)).limit(limit + 1)))


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


def _contain(column: Any, words: list[str]) -> list[ColumnElement[bool]]:
    return [column.contains(word, autoescape=True) for word in words]


def _order(asked: ModelQuery, of: Any) -> list[ColumnElement[Any]]:
    """``of``: the models, or a selection of them."""
    if asked.sort == "name":
        return [of.name.asc(), of.id.asc()]
    return [of.updated.desc(), of.id.desc()]


def _behind(asked: ModelQuery, after: tuple[Any, ...] | None) -> list[ColumnElement[bool]]:
    """What comes behind the key ``after`` in the order asked for; a pair, so that an index leads to it."""
    if after is None:
        return []
    key = tuple_(Model.name if asked.sort == "name" else Model.updated, Model.id)
    return [key > after if asked.sort == "name" else key < after]


def _filters(session: Session, asked: ModelQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        Model.trashed.is_not(None) if asked.trash else Model.trashed.is_(None)
    ]
    if asked.type:
        found.append(Model.type == asked.type)
    if asked.owner:
        found.append(Model.owner == asked.owner)
    if asked.tag:
        tagged = select(Tag.version_id).where(Tag.tag == asked.tag)
        versions = (
            select(Version.model_id).join(Tag, Tag.version_id == Version.id).where(Tag.tag == asked.tag)
        )
        found.append(_has(versions, is_common=_are_many(session, tagged)))
    if asked.state:
        of_state = select(Version.model_id).where(Version.state == asked.state)
        found.append(_has(of_state, is_common=_are_many(session, of_state)))
    return found


def _has(versions: Select[int], *, is_common: bool) -> ColumnElement[bool]:
    """A version outside of the trash is among ``versions``: asked of each model where that is common, else gathered."""
    here = versions.where(Version.trashed.is_(None))
    return here.where(Version.model_id == Model.id).exists() if is_common else Model.id.in_(here)


def _are_many(session: Session, some: Select[Any]) -> bool:
    counted = select(func.count()).select_from(some.limit(_MANY).subquery())
    return session.scalar(counted) == _MANY


def _may_read(session: Session, subject: Subject) -> list[ColumnElement[bool]]:
    """What ``subject`` may read: gathered through indexes where that is little, else asked of each model."""
    if subject.is_admin:
        return [true()]
    some = union(*(each.limit(_MANY).subquery().select() for each in _readable_parts(subject)))
    if _are_many(session, some.subquery().select()):
        return [readable(subject)]
    return [readable(subject), Model.id.in_(some.subquery().select())]


def _readable_parts(subject: Subject) -> list[Select[int]]:
    """The models of :func:`readable`, each part through an index of its own."""
    ids = select(Model.id)
    return [
        ids.where(Model.owner == subject.user),
        ids.where(Model.visibility == "team", Model.team.in_(subject.teams)),
        ids.where(Model.visibility == "everyone"),
        select(Share.model_id).where(Share.subject.in_(subject.names)),
    ]


@dataclass(frozen=True)
class _Gram:
    """``count``: how many models have it, at most ``_RARE``; ``reach``: the id of the last of these."""

    gram: str
    count: int
    reach: int

    @property
    def is_rare(self) -> bool:
        return self.count < _RARE


def _grams(session: Session, words: list[str]) -> list[_Gram]:
    """The grams of ``words``, rarest first: of two common ones the rarer takes more models to come so often."""
    wanted = set().union(*(grams_of(word) for word in words))
    within = {character for gram in wanted if len(gram) > 1 for character in gram}
    asked = []
    for gram in sorted(wanted - within):
        some = select(SearchGram.id).where(SearchGram.kind == OF_MODEL, SearchGram.gram == gram)
        some_ids = some.order_by(SearchGram.id).limit(_RARE).subquery()
        asked.append(
            select(literal(gram), func.count(), func.coalesce(func.max(some_ids.c.id), 0)).select_from(
                some_ids
            )
        )
    found = [_Gram(*row) for row in session.execute(union_all(*asked))] if asked else []
    return sorted(found, key=lambda gram: (gram.count, -gram.reach))


def _having(grams: list[_Gram]) -> Select[int]:
    """The models that have all of ``grams``."""
    first, *more = (aliased(SearchGram) for _ in grams)
    query = select(first.id).where(first.kind == OF_MODEL, first.gram == grams[0].gram)
    for gram, other in zip(grams[1:], more, strict=True):
        query = query.join(
            other, (other.id == first.id) & (other.kind == OF_MODEL) & (other.gram == gram.gram)
        )
    return query
