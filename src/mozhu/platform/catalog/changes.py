"""The only SQL that puts models and versions into the trash and takes them out again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session, aliased

from mozhu.platform.catalog.events import OF_MODEL
from mozhu.platform.catalog.places import staging
from mozhu.platform.database.tables import LOCAL, Model, Version
from mozhu.platform.database.tables_assets import Alias, SearchGram


def model_named(session: Session, name: str, owner: str = LOCAL) -> Model | None:
    return session.scalar(select(Model).where(Model.owner == owner, Model.name == name))


def version_named(session: Session, model: Model, label: str) -> Version | None:
    return session.scalar(select(Version).where(Version.model_id == model.id, Version.label == label))


def trash_version(session: Session, version: Version, now: str, user: str) -> bool:
    """Put ``version`` away unless it is the last that its model has; one statement asks and does it."""
    other = aliased(Version)
    there_is_another = exists().where(
        other.model_id == Version.model_id, other.id != Version.id, other.trashed.is_(None)
    )
    statement = (
        update(Version)
        .where(Version.id == version.id, Version.trashed.is_(None), there_is_another)
        .values(trashed=now, trashed_by=user)
        .execution_options(synchronize_session=False)
    )
    done: bool = session.execute(statement).rowcount == 1  # type: ignore[attr-defined]
    if done:
        session.execute(delete(Alias).where(Alias.version_id == version.id))
    session.expire_all()
    return done


def restore_version(session: Session, version: Version) -> None:
    version.trashed, version.trashed_by = None, ""
    session.flush()


def forget_version(session: Session, version: Version) -> None:
    session.delete(version)
    session.flush()


def forget_model(session: Session, model: Model) -> None:
    session.execute(delete(SearchGram).where(SearchGram.kind == OF_MODEL, SearchGram.id == model.id))
    session.delete(model)
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
