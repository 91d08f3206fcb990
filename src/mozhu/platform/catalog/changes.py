"""The only SQL that puts models, data sets and their versions into the trash and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from mozhu.platform.catalog.kinds import Kind
from mozhu.platform.catalog.places import staging
from mozhu.platform.catalog.words import forget_words


def version_named(session: Session, kind: Kind, asset: Any, label: str) -> Any:
    """The row of a version, in the trash too; ``None`` where there is none of this name."""
    version = kind.version
    return session.scalar(select(version).where(kind.of(version) == asset.id, version.label == label))


def trash_version(session: Session, kind: Kind, version: Any, now: str, user: str) -> bool:
    """Put ``version`` away unless it is the last that there is; one statement asks and does it."""
    table, other = kind.version, aliased(kind.version)
    there_is_another = exists().where(
        kind.of(other) == kind.of(table), other.id != table.id, other.trashed.is_(None)
    )
    statement = (
        update(table)
        .where(table.id == version.id, table.trashed.is_(None), there_is_another)
        .values(trashed=now, trashed_by=user)
        .execution_options(synchronize_session=False)
    )
    done: bool = session.execute(statement).rowcount == 1  # type: ignore[attr-defined]
    if done:
        session.execute(delete(kind.alias).where(kind.alias.version_id == version.id))
    session.expire_all()
    return done


def restore_version(session: Session, version: Any) -> None:
    version.trashed, version.trashed_by = None, ""
    session.flush()


def forget_version(session: Session, version: Any) -> None:
    session.delete(version)
    session.flush()


def forget_asset(session: Session, kind: Kind, asset: Any) -> None:
    forget_words(session, kind, asset)
    session.delete(asset)
    session.flush()


@contextmanager
def taking_away(models: Path) -> Iterator[Callable[[Path], None]]:
    """Folders given to what this yields are out of the tree at once, and back after an exception."""
    with staging(models) as room:
        moved: list[tuple[Path, Path]] = []

        def take(folder: Path) -> None:
            if folder.exists():
                away = room / str(len(moved))
                folder.rename(away)
                moved.append((folder, away))

        try:
            yield take
        except BaseException:
            for folder, away in reversed(moved):
                away.rename(folder)
            raise
