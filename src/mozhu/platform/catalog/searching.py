"""Pages of models and of data sets, found as one types: the only SQL of search, one design for both engines.

A search word is a part of anything that is said of one. Its rarest gram leads to the few that can match.
Where all its grams are common, the first ones in the order asked for are gone through, which fills a page with what
is common; what is not found there is looked for by several grams together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from sqlalchemy import ColumnElement, Select, func, literal, select, true, tuple_, union, union_all
from sqlalchemy.orm import Session, aliased

from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.access import readable
from mozhu.platform.catalog.kinds import MODEL, Kind
from mozhu.platform.catalog.views import ModelView
from mozhu.platform.database.grams import grams_of, plain
from mozhu.platform.database.tables_assets import SearchGram

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
    """What is asked for, of data sets too. ``search``: words that all have to be found. ``type``: that of a model, of
    a data set what its rows teach. ``trash``: what was deleted, and only that.
    """

    search: str = ""
    type: str | None = None
    tag: str | None = None
    owner: str | None = None
    state: str | None = None
    sort: Sort = "updated"
    trash: bool = False
    team: str | None = None


V = TypeVar("V")


class Listing(Protocol[V]):
    """Views of what ``chosen`` gives, in ``order``, each with its id; with their newest version in ``state``."""

    def __call__(
        self,
        session: Session,
        chosen: Select[int],
        order: Sequence[ColumnElement[Any]],
        state: str | None = None,
    ) -> list[tuple[int, V]]: ...


@dataclass(frozen=True)
class Page(Generic[V]):
    """``next`` is the key of the page that follows (``updated`` or ``name``, and ``id``); ``None`` on the last one."""

    items: tuple[V, ...]
    next: tuple[Any, ...] | None

    def to_json(self) -> dict[str, Any]:
        return {
            "items": [item.to_json() for item in self.items],  # type: ignore[attr-defined]
            "next": list(self.next) if self.next else None,
        }


ModelPage = Page[ModelView]


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
    session: Session,
    subject: Subject,
    asked: ModelQuery,
    limit: int,
    after: tuple[Any, ...] | None = None,
) -> ModelPage:
    """At most ``limit`` models behind the key ``after``, in the order asked for."""
    return page_of(session, subject, asked, limit, after, MODEL, rows.listed)


def page_of(
    session: Session,
    subject: Subject,
    asked: ModelQuery,
    limit: int,
    after: tuple[Any, ...] | None,
    kind: Kind,
    listed: Listing[V],
) -> Page[V]:
    """As :func:`page`, of any kind."""
    ids = page_query(session, subject, asked, limit, after, kind)
    if ids is None:
        return Page((), None)
    found = listed(session, ids, _order(asked, kind.table), asked.state)
    shown = found[:limit]
    following = None
    if len(found) > limit:
        number, last = shown[-1]
        following = (getattr(last, asked.sort), number)
    return Page(tuple(view for _, view in shown), following)


def page_query(
    session: Session,
    subject: Subject,
    asked: ModelQuery,
    limit: int,
    after: tuple[Any, ...] | None,
    kind: Kind = MODEL,
) -> Select[int] | None:
    """The ids of a page and of what is behind it; ``None`` where an index already says that there are none."""
    table = kind.table
    filters = [*_may_read(session, subject, kind), *_filters(session, asked, kind)]
    query = select(table.id).where(*filters, *_behind(asked, after, kind))
    query = query.order_by(*_order(asked, table)).limit(limit + 1)
    words = plain(asked.search).split()
    if not words:
        return query
    has_words = _contain(table.search_text, words)
    grams = _grams(session, words, kind)
    if not grams:  # a single letter is no gram
        return query.where(*has_words)
    if any(gram.count == 0 for gram in grams):
        return None
    if grams[0].is_rare:
        return query.where(*has_words, table.id.in_(_having(grams[:1], kind)))
    first = _first(session, query, words, asked, limit, kind)
    is_all = len(filters) > _NO_FILTERS and session.scalar(query.offset(_WINDOW).limit(1)) is None
    if len(first) > limit or is_all:
        return select(table.id).where(table.id.in_(first))
    having = _having(grams[:_MOST_GRAMS], kind).cte("having").prefix_with("MATERIALIZED")
    return query.join(having, having.c.id == table.id).where(*has_words)


def _first(
    session: Session, query: Select[int], words: list[str], asked: ModelQuery, limit: int, kind: Kind
) -> list[int]:
    """Those with ``words`` among the first models of ``query``."""
    table = kind.table
    columns = (table.id, table.name, table.updated, table.search_text)
    window = query.limit(_WINDOW).with_only_columns(*columns).subquery()
    found = select(window.c.id).where(*_contain(window.c.search_text, words))
    return list(session.scalars(found.order_by(*_order(asked, window.c)).limit(limit + 1)))


def counts(session: Session, subject: Subject, kind: Kind = MODEL) -> Counts:
    """What the cards of the front page show, as of now."""
    table, may = kind.table, readable(subject, kind)
    sort_of = getattr(table, kind.sort_of)
    query = select(sort_of, func.count(), func.sum(table.version_count), func.sum(table.size_bytes))
    found = session.execute(query.where(table.trashed.is_(None), may).group_by(sort_of)).all()
    trashed = select(func.count()).select_from(table).where(table.trashed.is_not(None), may)
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


def _behind(asked: ModelQuery, after: tuple[Any, ...] | None, kind: Kind) -> list[ColumnElement[bool]]:
    """What comes behind the key ``after`` in the order asked for; a pair, so that an index leads to it."""
    if after is None:
        return []
    key = tuple_(getattr(kind.table, asked.sort), kind.table.id)
    return [key > after if asked.sort == "name" else key < after]


def _filters(session: Session, asked: ModelQuery, kind: Kind) -> list[ColumnElement[bool]]:
    table, version, tag = kind.table, kind.version, kind.tag
    found = [table.trashed.is_not(None) if asked.trash else _not_in_trash(session, table)]
    if asked.type:
        found.append(getattr(table, kind.sort_of) == asked.type)
    if asked.owner:
        found.append(table.owner == asked.owner)
    if asked.team:
        found.append(table.team == asked.team)
    if asked.tag:
        tagged = select(tag.version_id).where(tag.tag == asked.tag)
        versions = select(kind.of(version)).join(tag, tag.version_id == version.id)
        found.append(_has(versions.where(tag.tag == asked.tag), kind, is_common=_are_many(session, tagged)))
    if asked.state:
        of_state = select(kind.of(version)).where(version.state == asked.state)
        found.append(_has(of_state, kind, is_common=_are_many(session, of_state)))
    return found


def _not_in_trash(session: Session, table: Any) -> ColumnElement[bool]:
    """What is not in the trash, which is nearly everything.

    SQLite, which keeps no statistics by itself, would take it for a condition that leads to few, gather all and sort
    them; said in this way it has no index and is asked of each as the order comes.
    """
    if session.get_bind().dialect.name == "sqlite":
        return func.coalesce(table.trashed, "") == ""
    is_here: ColumnElement[bool] = table.trashed.is_(None)
    return is_here


def _has(versions: Select[int], kind: Kind, *, is_common: bool) -> ColumnElement[bool]:
    """A version outside of the trash is among ``versions``: asked of each in its turn where that is common, else
    gathered.
    """
    here, table = versions.where(kind.version.trashed.is_(None)), kind.table
    asked_of_each = here.where(kind.of(kind.version) == table.id).exists()
    gathered: ColumnElement[bool] = table.id.in_(here)
    return asked_of_each if is_common else gathered


def _are_many(session: Session, some: Select[Any]) -> bool:
    counted = select(func.count()).select_from(some.limit(_MANY).subquery())
    return session.scalar(counted) == _MANY


def _may_read(session: Session, subject: Subject, kind: Kind) -> list[ColumnElement[bool]]:
    """What ``subject`` may read: gathered through indexes where that is little, else asked of each in its turn."""
    if subject.is_admin:
        return [true()]
    parts = _readable_parts(subject, kind)
    some = union(*(each.limit(_MANY).subquery().select() for each in parts))
    if _are_many(session, some.subquery().select()):
        return [readable(subject, kind)]
    return [readable(subject, kind), kind.table.id.in_(some.subquery().select())]


def _readable_parts(subject: Subject, kind: Kind) -> list[Select[int]]:
    """What :func:`readable` lets through, each part through an index of its own."""
    table, share = kind.table, kind.share
    ids = select(table.id)
    return [
        ids.where(table.owner == subject.user),
        ids.where(table.visibility == "team", table.team.in_(subject.teams)),
        ids.where(table.visibility == "everyone"),
        select(kind.of(share)).where(share.subject.in_(subject.names)),
    ]


@dataclass(frozen=True)
class _Gram:
    """``count``: how many have it, at most ``_RARE``; ``reach``: the id of the last of these."""

    gram: str
    count: int
    reach: int

    @property
    def is_rare(self) -> bool:
        return self.count < _RARE


def _grams(session: Session, words: list[str], kind: Kind) -> list[_Gram]:
    """The grams of ``words``, rarest first: of two common ones the rarer takes more models to come so often."""
    wanted = set().union(*(grams_of(word) for word in words))
    within = {character for gram in wanted if len(gram) > 1 for character in gram}
    asked = []
    for gram in sorted(wanted - within):
        some = select(SearchGram.id).where(SearchGram.kind == kind.name, SearchGram.gram == gram)
        some_ids = some.order_by(SearchGram.id).limit(_RARE).subquery()
        asked.append(
            select(literal(gram), func.count(), func.coalesce(func.max(some_ids.c.id), 0)).select_from(
                some_ids
            )
        )
    found = [_Gram(*row) for row in session.execute(union_all(*asked))] if asked else []
    return sorted(found, key=lambda gram: (gram.count, -gram.reach))


def _having(grams: list[_Gram], kind: Kind) -> Select[int]:
    """The ids of what has all of ``grams``."""
    first, *more = (aliased(SearchGram) for _ in grams)
    query = select(first.id).where(first.kind == kind.name, first.gram == grams[0].gram)
    for gram, other in zip(grams[1:], more, strict=True):
        query = query.join(
            other, (other.id == first.id) & (other.kind == kind.name) & (other.gram == gram.gram)
        )
    return query
