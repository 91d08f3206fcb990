"""Pages of models and of data sets, found as one types; the statements are in ``finding.py``.

A search word is a part of anything that is said of one. Its rarest gram leads to the few that can match.
Where all its grams are common, the first ones in the order asked for are gone through, which fills a page with what
is common; what is not found there is looked for by several grams together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.access import readable
from mozhu.platform.catalog.finding import (
    Commonness,
    Reader,
    Shape,
    Sort,
    grams_question,
    many_question,
    many_readable_question,
    more_question,
    page_question,
    reader_of,
)
from mozhu.platform.catalog.kinds import MODEL, Kind
from mozhu.platform.catalog.listing import Listing
from mozhu.platform.catalog.views import ModelView
from mozhu.platform.database.engine import Database
from mozhu.platform.database.grams import grams_of, plain
from mozhu.platform.database.portable import pattern

# A gram of fewer models than this is enough by itself.
_RARE = 500
# Of common grams so many are looked for together, after the first models have been gone through in their order: a few
# more than should hold a page, where that is at most so many.
_MOST_GRAMS, _WINDOW, _MARGIN, _LEAST = 3, 1000, 1.25, 50
# From so many on a condition is asked of each model in its turn, below that its models are gathered first.
_MANY = 3000
# A gram that at most so many times more models have is as telling as the rarest.
_ALIKE = 3


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
    visibility: str | None = None


A = TypeVar("A")


@dataclass(frozen=True)
class Page(Generic[A]):
    """``next`` is the key of the page that follows (``updated`` or ``name``, and ``id``); ``None`` on the last one."""

    items: tuple[A, ...]
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
    database: Database, subject: Subject, asked: ModelQuery, limit: int, after: tuple[Any, ...] | None = None
) -> ModelPage:
    """At most ``limit`` models behind the key ``after``, in the order asked for."""
    return page_of(database, subject, asked, limit, after, rows.LISTING)


def page_of(
    database: Database,
    subject: Subject,
    asked: ModelQuery,
    limit: int,
    after: tuple[Any, ...] | None,
    listing: Listing[A, Any],
) -> Page[A]:
    """As :func:`page`, of any kind."""
    found = _found(database, subject, asked, limit, after, listing)
    shown = found[:limit]
    following = None
    if len(found) > limit:
        number, last = shown[-1]
        following = (getattr(last, asked.sort), number)
    return Page(tuple(view for _, view in shown), following)


def _found(
    database: Database,
    subject: Subject,
    asked: ModelQuery,
    limit: int,
    after: tuple[Any, ...] | None,
    listing: Listing[A, Any],
) -> list[tuple[int, A]]:
    """What is on a page and the one behind it."""
    words = plain(asked.search).split()
    grams = _grams(database, listing.kind, words)
    if any(gram.count == 0 for gram in grams):
        return []
    shape, values = _shape(database, subject, asked, limit, words, listing)
    if after is not None:
        values |= {"after": after[0], "after_id": after[1]}
        shape = replace(shape, after=True)
    if not grams:  # no word, or a single letter, which is no gram
        return _listed(database, shape, values)
    if not grams[0].is_rare:
        found = _among_the_first(database, shape, values, grams[0])
        if found is not None:
            return found
    chosen = grams[:1] if grams[0].is_rare else _telling(grams)
    values |= {f"gram_{place}": gram.gram for place, gram in enumerate(chosen)}
    # PostgreSQL joins sets of one size well, and thinks that nothing is left out where they are cut.
    alike = 1 if database.is_postgres else sum(gram.is_like(chosen[0]) for gram in chosen)
    return _listed(database, replace(shape, way="grams", alike=alike, others=len(chosen) - alike), values)


def _listed(database: Database, shape: Shape, values: dict[str, Any]) -> list[tuple[int, Any]]:
    return shape.listing.read(database.ask(page_question(shape).of(**values))[0])


def _among_the_first(
    database: Database, shape: Shape, values: dict[str, Any], rarest: _Gram
) -> list[tuple[int, Any]] | None:
    """What is found among the first ones, where that is a whole page or where there are no others."""
    # So many have to be gone through for a page, and some more, as words come by chance.
    window = int((shape.limit + 1) * rarest.reach / _RARE * _MARGIN) + _LEAST
    if window > _WINDOW:
        return None
    first = replace(shape, way="first", window=window)
    asked = [page_question(first).of(**values)]
    if shape.has_filters:
        asked.append(more_question(first).of(**values))
    found, *more = database.ask(*asked)
    is_all = bool(more) and not more[0]
    return shape.listing.read(found) if len(found) > shape.limit or is_all else None


def _telling(grams: list[_Gram]) -> list[_Gram]:
    """Of common grams the few that are looked for together, those that are about as rare as the first one first."""
    return sorted(grams[:_MOST_GRAMS], key=lambda gram: not gram.is_like(grams[0]))


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


def _shape(
    database: Database,
    subject: Subject,
    asked: ModelQuery,
    limit: int,
    words: list[str],
    listing: Listing[Any, Any],
) -> tuple[Shape, dict[str, Any]]:
    """What kind of question it is, with the values that it is asked with."""
    kind = listing.kind
    reader, values = _reader(database, kind, subject)
    for place, word in enumerate(words):
        values |= {f"word_{place}": word, f"like_{place}": pattern(word)}
    given = {name: getattr(asked, name) for name in ("type", "owner", "team", "visibility", "tag", "state")}
    values |= {name: value for name, value in given.items() if value}
    shape = Shape(
        listing,
        sort=asked.sort,
        trash=asked.trash,
        limit=limit,
        words=len(words),
        reader=reader,
        type=bool(asked.type),
        owner=bool(asked.owner),
        team=bool(asked.team),
        visibility=bool(asked.visibility),
        tag=_commonness(database, kind, "tag", asked.tag),
        state=_commonness(database, kind, "state", asked.state),
    )
    return shape, values


def _commonness(
    database: Database, kind: Kind, name: Literal["tag", "state"], value: str | None
) -> Commonness:
    if not value:
        return None
    return "common" if database.ask(many_question(kind, name, _MANY).of(**{name: value}))[0] else "few"


def _reader(database: Database, kind: Kind, subject: Subject) -> tuple[Reader | None, dict[str, Any]]:
    """What ``subject`` may read: gathered through indexes where that is little, else asked of each model."""
    reader, values = reader_of(subject, _MANY)
    if reader is None:
        return None, values
    are_many = bool(database.ask(many_readable_question(kind, reader).of(**values))[0])
    return replace(reader, gathered=not are_many), values


@dataclass(frozen=True)
class _Gram:
    """``count``: how many models have it, at most ``_RARE``; ``reach``: the id of the last of these."""

    gram: str
    count: int
    reach: int

    @property
    def is_rare(self) -> bool:
        return self.count < _RARE

    def is_like(self, rarest: _Gram) -> bool:
        """Whether not many more models have it than have the rarest one."""
        return self.reach * _ALIKE >= rarest.reach


def _grams(database: Database, kind: Kind, words: list[str]) -> list[_Gram]:
    """The grams of ``words``, rarest first: of two common ones the rarer takes more models to come so often."""
    wanted = set().union(*(grams_of(word) for word in words))
    within = {character for gram in wanted if len(gram) > 1 for character in gram}
    asked = {f"gram_{place}": gram for place, gram in enumerate(sorted(wanted - within))}
    if not asked:
        return []
    found = database.ask(grams_question(kind, len(asked), _RARE).of(**asked))[0]
    return sorted((_Gram(*row) for row in found), key=lambda gram: (gram.count, -gram.reach))
