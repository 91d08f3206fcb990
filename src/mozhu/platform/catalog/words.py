"""What a model or a data set is found by: the only SQL that writes grams."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session, selectinload

from mozhu.platform.catalog.kinds import Kind
from mozhu.platform.database.grams import grams_of, search_text
from mozhu.platform.database.tables_assets import SearchGram


def words_of(kind: Kind, version: Any) -> list[str]:
    """What its model or data set is found by because of the row ``version``."""
    return [
        *(getattr(version, name) or "" for name in kind.version_words),
        *(tag.tag for tag in version.tags),
    ]


def index_words(session: Session, kind: Kind, asset: Any, words: Iterable[str]) -> None:
    """``asset`` is found by ``words`` too, and by everything that it was found by."""
    own = (getattr(asset, name) or "" for name in kind.words)
    searched = search_text((*own, *(asset.search_text or "").split("\n"), *words))
    if searched == asset.search_text:
        return
    fresh = grams_of(searched) - grams_of(asset.search_text or "")
    asset.search_text = searched
    session.flush()
    if fresh:
        rows = [{"kind": kind.name, "gram": gram, "id": asset.id} for gram in sorted(fresh)]
        session.execute(insert(SearchGram), rows)


def reindex(session: Session, kind: Kind, asset: Any) -> None:
    """``asset`` is found by what it and its versions say today and by nothing else."""
    forget_words(session, kind, asset)
    asset.search_text = ""
    version = kind.version
    query = select(version).where(kind.of(version) == asset.id).options(selectinload(version.tags))
    words = [word for row in session.scalars(query.order_by(version.seq)) for word in words_of(kind, row)]
    index_words(session, kind, asset, words)


def forget_words(session: Session, kind: Kind, asset: Any) -> None:
    session.execute(delete(SearchGram).where(SearchGram.kind == kind.name, SearchGram.id == asset.id))
