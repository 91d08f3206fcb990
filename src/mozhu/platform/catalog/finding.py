"""The statements of lists and searches: one for each kind of question, made once and asked again with other values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Select,
    bindparam,
    func,
    intersect,
    literal_column,
    select,
    true,
    tuple_,
    union,
    union_all,
)
from sqlalchemy import text as sql
from sqlalchemy.orm import aliased

from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.access import one_of, readable_by
from mozhu.platform.catalog.kinds import Kind
from mozhu.platform.catalog.listing import Listing
from mozhu.platform.database.asking import Question
from mozhu.platform.database.portable import Absent, Holds
from mozhu.platform.database.tables_assets import SearchGram

Sort = Literal["updated", "name"]
# Whether many models fulfil a condition: then it is asked of each model in its turn, else those are gathered first.
Commonness = Literal["common", "few"] | None
_KINDS = 512


@dataclass(frozen=True)
class Reader:
    """Somebody with so many teams and names. ``gathered``: what they may read is less than ``most``."""

    teams: int
    names: int
    most: int
    gathered: bool = False


@dataclass(frozen=True)
class Shape:
    """A kind of question. ``reader`` is ``None`` for who may read everything.

    ``way``: through ``all`` of them, the ``first`` ``window``, or by ``grams``: ``alike`` ones that are about as rare,
    and ``others``.
    """

    listing: Listing[Any, Any]
    sort: Sort
    trash: bool
    limit: int
    words: int
    reader: Reader | None
    type: bool = False
    owner: bool = False
    team: bool = False
    visibility: bool = False
    tag: Commonness = None
    state: Commonness = None
    after: bool = False
    way: Literal["all", "first", "grams"] = "all"
    window: int = 0
    alike: int = 0
    others: int = 0

    @property
    def kind(self) -> Kind:
        return self.listing.kind

    @property
    def has_filters(self) -> bool:
        """Whether not everything that the reader may see is asked for."""
        named = self.type or self.owner or self.team or self.visibility
        return bool(named or self.tag or self.state)


@lru_cache(_KINDS)
def page_question(shape: Shape) -> Question:
    """What is on a page and the one behind it, each with its newest version; the columns of its ``Listing``."""
    kind, listing = shape.kind, shape.listing
    chosen = _chosen(shape).limit(number(shape.limit + 1)).subquery("chosen")
    newest = listing.newest(in_state=shape.state is not None)
    query = (
        select(*listing.columns)
        .select_from(kind.table)
        .join(chosen, sql(f"chosen.id = {kind.table.__tablename__}.id"))
        .join(kind.version, (kind.of(kind.version) == kind.table.id) & (kind.version.seq == newest))
    )
    return Question(query.order_by(*_order(shape, kind.table)))


@lru_cache(_KINDS)
def more_question(shape: Shape) -> Question:
    """One row where there are more than the window holds."""
    return Question(_filtered(shape).offset(number(shape.window)).limit(number(1)))


@lru_cache(_KINDS)
def many_question(kind: Kind, name: str, most: int) -> Question:
    """One row where ``most`` versions have the tag or the state."""
    tag, version = kind.tag, kind.version
    column = tag.version_id if name == "tag" else version.id
    value = tag.tag if name == "tag" else version.state
    some = select(column).where(value == bindparam(name))
    return Question(some.offset(number(most - 1)).limit(number(1)))


@lru_cache(_KINDS)
def many_readable_question(kind: Kind, reader: Reader) -> Question:
    """One row where the reader may read ``most``."""
    some: Any = select(literal_column("1")).select_from(_some_readable(kind, reader))
    return Question(some.offset(number(reader.most - 1)).limit(number(1)))


@lru_cache(_KINDS)
def grams_question(kind: Kind, count: int, rare: int) -> Question:
    """Of each gram: itself, how many have it (at most ``rare``), and the id of the last of these."""
    asked = []
    for place in range(count):
        gram = bindparam(f"gram_{place}", type_=SearchGram.gram.type)
        some = _with_gram(kind, gram).order_by(SearchGram.id).limit(number(rare)).subquery()
        found = (gram.label("gram"), func.count().label("count"), func.coalesce(func.max(some.c.id), 0))
        asked.append(select(*found).select_from(some))
    return Question(union_all(*asked) if count > 1 else asked[0])


def _chosen(shape: Shape) -> Select[Any]:
    """The ids of what is on the page, in order, without a limit."""
    table = shape.kind.table
    if shape.way == "first":
        columns = (table.id, table.name, table.updated, table.search_text)
        window = _filtered(shape).limit(number(shape.window)).with_only_columns(*columns).subquery()
        found = select(window.c.id).where(*_words(shape, window.c.search_text))
        return found.order_by(*_order(shape, window.c))
    query = _filtered(shape).where(*_words(shape, table.search_text))
    if shape.way == "all":
        return query
    having = _having(shape).cte("having").prefix_with("MATERIALIZED")
    return query.join(having, having.c.id == table.id)


def _filtered(shape: Shape) -> Select[Any]:
    """The ids of all that fulfil the filters, in order, behind the key where there is one."""
    behind = [_behind(shape)] if shape.after else []
    query = select(shape.kind.table.id).where(*may_read(shape.kind, shape.reader), *_filters(shape), *behind)
    return query.order_by(*_order(shape, shape.kind.table))


def _words(shape: Shape, column: Any) -> list[ColumnElement[bool]]:
    kind = shape.kind.table.search_text.type
    return [
        Holds(column, bindparam(f"word_{place}", type_=kind), bindparam(f"like_{place}", type_=kind))
        for place in range(shape.words)
    ]


def _order(shape: Shape, of: Any) -> list[ColumnElement[Any]]:
    """``of``: the table, or a selection of it."""
    if shape.sort == "name":
        return [of.name.asc(), of.id.asc()]
    return [of.updated.desc(), of.id.desc()]


def _behind(shape: Shape) -> ColumnElement[bool]:
    """What comes behind a key in the order asked for; a pair, so that an index leads to it."""
    table = shape.kind.table
    column = getattr(table, shape.sort)
    here = tuple_(column, table.id)
    key = tuple_(bindparam("after", type_=column.type), bindparam("after_id", type_=table.id.type))
    return here > key if shape.sort == "name" else here < key


def _filters(shape: Shape) -> list[ColumnElement[bool]]:
    kind = shape.kind
    table, version, tag = kind.table, kind.version, kind.tag
    # Nearly everything is outside of the trash: no index leads there.
    found: list[ColumnElement[bool]] = [table.trashed.is_not(None) if shape.trash else Absent(table.trashed)]
    if shape.type:
        found.append(getattr(table, kind.sort_of) == bindparam("type"))
    if shape.owner:
        found.append(table.owner == bindparam("owner"))
    if shape.team:
        found.append(table.team == bindparam("team"))
    if shape.visibility:
        found.append(table.visibility == bindparam("visibility"))
    if shape.tag:
        tagged = select(kind.of(version)).join(tag, tag.version_id == version.id)
        found.append(_has(kind, tagged.where(tag.tag == bindparam("tag")), shape.tag))
    if shape.state:
        of_state = select(kind.of(version)).where(version.state == bindparam("state"))
        found.append(_has(kind, of_state, shape.state))
    return found


def _has(kind: Kind, versions: Select[Any], commonness: Commonness) -> ColumnElement[bool]:
    """A version outside of the trash is among ``versions``."""
    here = versions.where(kind.version.trashed.is_(None))
    if commonness == "common":
        return here.where(kind.of(kind.version) == kind.table.id).exists()
    gathered: ColumnElement[bool] = kind.table.id.in_(here)
    return gathered


def reader_of(subject: Subject, most: int = 0) -> tuple[Reader | None, dict[str, Any]]:
    """What kind of reader ``subject`` is, with the values of its questions; an administrator reads everything."""
    if subject.is_admin:
        return None, {}
    values: dict[str, Any] = {"reader": subject.user}
    values |= {f"team_{place}": team for place, team in enumerate(subject.teams)}
    values |= {f"named_{place}": name for place, name in enumerate(subject.names)}
    return Reader(len(subject.teams), len(subject.names), most), values


def may_read(kind: Kind, reader: Reader | None) -> list[ColumnElement[bool]]:
    if reader is None:
        return [true()]
    condition = readable_by(kind, *_named(kind, reader))
    if not reader.gathered:
        return [condition]
    return [condition, kind.table.id.in_(select(_some_readable(kind, reader).c.id))]


def _some_readable(kind: Kind, reader: Reader) -> Any:
    """At most ``most`` of each way to be let in, each through an index of its own."""
    user, teams, names = _named(kind, reader)
    table, share = kind.table, kind.share
    ids = select(table.id)
    parts = [
        ids.where(table.owner == user),
        ids.where(table.visibility == "team", one_of(table.team, teams)),
        ids.where(table.visibility == "everyone"),
        select(kind.of(share).label("id")).where(one_of(share.subject, names)),
    ]
    return union(*(part.limit(number(reader.most)).subquery().select() for part in parts)).subquery()


def _named(kind: Kind, reader: Reader) -> tuple[Any, list[Any], list[Any]]:
    """Who reads, their teams and their names, as values to be given."""
    table, subject = kind.table, kind.share.subject.type
    teams = [bindparam(f"team_{place}", type_=table.team.type) for place in range(reader.teams)]
    names = [bindparam(f"named_{place}", type_=subject) for place in range(reader.names)]
    return bindparam("reader", type_=table.owner.type), teams, names


def _having(shape: Shape) -> Any:
    """What has all grams: sets of about one size are cut, in larger ones each is looked for."""
    kind = shape.kind
    grams = [
        bindparam(f"gram_{place}", type_=SearchGram.gram.type) for place in range(shape.alike + shape.others)
    ]
    alike = [_with_gram(kind, gram) for gram in grams[: shape.alike]]
    found = (intersect(*alike) if len(alike) > 1 else alike[0]).subquery("alike")
    query = select(found.c.id)
    for gram in grams[shape.alike :]:
        other = aliased(SearchGram)
        query = query.join(other, (other.id == found.c.id) & (other.kind == kind.name) & (other.gram == gram))
    return query


def _with_gram(kind: Kind, gram: Any) -> Select[Any]:
    return select(SearchGram.id).where(SearchGram.kind == kind.name, SearchGram.gram == gram)


def number(value: int) -> ColumnElement[int]:
    """Written into the statement: of a number that it does not know PostgreSQL makes no plan to keep."""
    return literal_column(str(value))
