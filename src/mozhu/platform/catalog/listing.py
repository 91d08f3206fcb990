"""Rows of a list, read without the mapper's objects: two statements for a whole page."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy import text as sql
from sqlalchemy.orm import Session

from mozhu.platform.catalog.kinds import Kind


class Plain(SimpleNamespace):
    """A row by the names of its columns: an object of the mapper costs several times as much, and lists have many."""


def listed_rows(
    session: Session, kind: Kind, chosen: Select[int], order: Sequence[ColumnElement[Any]], state: str | None
) -> list[tuple[Plain, Plain]]:
    """What has one of the ids that ``chosen`` gives, each with its newest version, of those in ``state`` if given."""
    version = kind.version
    newest = select(func.max(version.seq)).where(
        kind.of(version) == kind.table.id,
        version.trashed.is_(None),
        *((version.state == state,) if state else ()),
    )
    # What is searched is long and is not shown.
    of_asset = [column for column in kind.table.__table__.c if column.name != "search_text"]
    of_version = list(version.__table__.c)
    query = (
        select(*of_asset, *of_version)
        .select_from(kind.table)
        .join(chosen.subquery("chosen"), sql(f"chosen.id = {kind.table.__tablename__}.id"))
        .join(
            version,
            (kind.of(version) == kind.table.id)
            & (version.seq == newest.correlate(kind.table).scalar_subquery()),
        )
    )
    found = []
    for row in session.execute(query.order_by(*order)):
        asset = Plain(**dict(zip([column.name for column in of_asset], row, strict=False)))
        values = row[len(of_asset) :]
        found.append(
            (asset, Plain(**dict(zip([one.name for one in of_version], values, strict=True)), tags=[]))
        )
    by_id = {each.id: each for _, each in found}
    tag = kind.tag
    tags = select(tag.version_id, tag.tag).where(tag.version_id.in_(list(by_id))).order_by(tag.position)
    for version_id, value in session.execute(tags) if by_id else ():
        by_id[version_id].tags.append(Plain(tag=value))
    return found
