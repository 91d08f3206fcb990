"""How rows of lists become views, without the mapper's objects: a page is one statement and a few dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Generic, TypeVar

from sqlalchemy import bindparam, func, null, select
from sqlalchemy.orm import aliased

from mozhu.platform.catalog.kinds import Kind
from mozhu.platform.database.asking import Row
from mozhu.platform.database.portable import Gathered

A = TypeVar("A")
V = TypeVar("V")
# What a version's view says of the model or data set that it belongs to.
_OF_ASSET = ("name", "owner", "team")


@dataclass(frozen=True, eq=False)
class Listing(Generic[A, V]):
    """The views of a kind and the columns that fill them: each field has the name of its column.

    Args:
        mend: Makes of the values of a version, by their names, what its view holds.
        newest_in_state: A list of those in a state shows the newest version in this state, not the newest of all.
    """

    kind: Kind
    asset_view: type[A]
    version_view: type[V]
    mend: Callable[[dict[str, Any]], None]
    newest_in_state: bool = False

    @cached_property
    def asset_fields(self) -> tuple[str, ...]:
        return tuple(field.name for field in fields(self.asset_view))  # type: ignore[arg-type]

    @cached_property
    def version_fields(self) -> tuple[str, ...]:
        return tuple(field.name for field in fields(self.version_view))  # type: ignore[arg-type]

    @cached_property
    def of_asset(self) -> list[Any]:
        table = self.kind.table
        return [null() if name == "newest" else getattr(table, name) for name in self.asset_fields]

    @cached_property
    def of_version(self) -> list[Any]:
        kind = self.kind
        tags = select(kind.tag.tag.label("value")).where(kind.tag.version_id == kind.version.id)
        otherwise = {name: getattr(kind.table, name) for name in _OF_ASSET}
        otherwise["tags"] = Gathered(
            tags.order_by(kind.tag.position).correlate(kind.version).scalar_subquery()
        )
        return [otherwise.get(name, getattr(kind.version, name, None)) for name in self.version_fields]

    @property
    def columns(self) -> list[Any]:
        """Those of a row of a list; :meth:`read` takes them."""
        return [self.kind.table.id, *self.of_asset, *self.of_version]

    def newest(self, *, in_state: bool) -> Any:
        """The number of the newest version that is not in the trash by itself (a model keeps one)."""
        kind, version = self.kind, aliased(self.kind.version)
        query = select(func.max(version.seq)).where(
            kind.of(version) == kind.table.id, version.trashed.is_(None)
        )
        if in_state and self.newest_in_state:
            query = query.where(version.state == bindparam("state"))
        return query.correlate(kind.table).scalar_subquery()

    def read(self, found: Iterable[Row]) -> list[tuple[int, A]]:
        """The views of rows with ``columns``, each with its id."""
        last = 1 + len(self.asset_fields)
        return [(row[0], self._asset_of(row[1:last], self.version_of(row[last:]))) for row in found]

    def version_of(self, values: Sequence[Any]) -> V:
        """The view of a version from the columns ``of_version``. Its constructor costs ten times as much."""
        view = object.__new__(self.version_view)
        told = vars(view)
        told.update(zip(self.version_fields, values, strict=True))
        told["tags"] = tuple(told["tags"])
        told["notes"] = told["notes"] or ""
        self.mend(told)
        return view

    def _asset_of(self, values: Sequence[Any], newest: V) -> A:
        view = object.__new__(self.asset_view)
        told = vars(view)
        told.update(zip(self.asset_fields, values, strict=True))
        told["newest"] = newest
        return view
