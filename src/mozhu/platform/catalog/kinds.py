"""The two kinds of things that the catalogue keeps, models and data sets: the same rules over tables of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mozhu.kernel.errors import MozhuError, UnknownDatasetVersion, UnknownReference
from mozhu.platform.catalog.events import OF_DATASET, OF_MODEL
from mozhu.platform.database.tables import (
    Dataset,
    DatasetTag,
    DatasetVersion,
    Model,
    Tag,
    Version,
)
from mozhu.platform.database.tables_assets import (
    Alias,
    DatasetAlias,
    DatasetRating,
    DatasetShare,
    Rating,
    Share,
)


@dataclass(frozen=True, eq=False)
class Kind:
    """The tables of one kind, and what is particular to it.

    ``name`` is also that of its lines in ``history`` and of its grams, ``group`` that of its commands. ``parent`` is
    the column by which versions, shares, aliases and ratings name what they belong to; ``sort_of`` the column that a
    list is filtered by as ``type``. ``words`` and ``version_words`` are the columns that a search looks at;
    ``editable`` those that people set. ``unknown`` makes the error that says that there is no such thing.
    """

    name: str
    group: str
    table: Any
    version: Any
    tag: Any
    share: Any
    alias: Any
    rating: Any
    parent: str
    sort_of: str
    words: tuple[str, ...]
    version_words: tuple[str, ...]
    editable: tuple[str, ...]
    unknown: Callable[[str, list[str]], MozhuError]

    @property
    def fields(self) -> tuple[str, ...]:
        return ("team", *self.editable, "trashed", "trashed_by")

    def of(self, table: Any) -> Any:
        """The column of ``table`` that names the model or data set it belongs to."""
        return getattr(table, self.parent)

    def key(self, asset: Any) -> dict[str, int]:
        """The value of that column for rows of ``asset``."""
        return {self.parent: asset.id}

    def tags(self, words: Iterable[str]) -> list[Any]:
        """Rows of these tags, in their order, each once."""
        return [self.tag(tag=word, position=position) for position, word in enumerate(dict.fromkeys(words))]

    def event(self, what: str) -> str:
        """``model.edited``, ``dataset.edited`` …"""
        return f"{self.name}.{what}"


def _unknown_model(reference: str, known: list[str]) -> MozhuError:
    return UnknownReference(reference=reference, known=known)


def _unknown_dataset(reference: str, known: list[str]) -> MozhuError:
    return UnknownDatasetVersion(reference=reference, known=known or ["-"])


MODEL = Kind(
    name=OF_MODEL,
    group="registry",
    table=Model,
    version=Version,
    tag=Tag,
    share=Share,
    alias=Alias,
    rating=Rating,
    parent="model_id",
    sort_of="type",
    words=("type", "name", "owner", "team", "description"),
    version_words=("label", "base_model", "task", "description", "model_type", "kind", "notes"),
    editable=("type", "description", "licence", "visibility", "base_reference"),
    unknown=_unknown_model,
)
DATASET = Kind(
    name=OF_DATASET,
    group="datasets",
    table=Dataset,
    version=DatasetVersion,
    tag=DatasetTag,
    share=DatasetShare,
    alias=DatasetAlias,
    rating=DatasetRating,
    parent="dataset_id",
    sort_of="kind",
    words=("kind", "name", "owner", "team", "description", "licence"),
    version_words=("label", "description", "kind", "notes"),
    editable=("description", "licence", "visibility"),
    unknown=_unknown_dataset,
)
