"""The only SQL about data sets."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, select
from sqlalchemy.orm import Session, selectinload

from mozhu.kernel.errors import InTrash
from mozhu.platform.catalog.datasets.views import DatasetFacts, DatasetVersionView, DatasetView
from mozhu.platform.catalog.kinds import DATASET
from mozhu.platform.catalog.listing import Listing
from mozhu.platform.catalog.views import State
from mozhu.platform.catalog.words import index_words, words_of
from mozhu.platform.database.tables import Dataset, DatasetTag, DatasetVersion
from mozhu.platform.database.tables_assets import DatasetAlias, SearchGram

_PARTS = ("train", "validation", "test")
# A version that is in the trash, or whose data set is, is in no list.
_HERE = DatasetVersion.trashed.is_(None) & Dataset.trashed.is_(None)


def dataset_named(session: Session, name: str, may: ColumnElement[bool]) -> DatasetView | None:
    """A data set that fulfils ``may`` and is not in the trash, with its newest version."""
    query = _versions().where(Dataset.name == name, may, _HERE).order_by(DatasetVersion.seq.desc())
    found = session.execute(query.limit(1)).first()
    return _dataset_view(*found) if found else None


def holder_of(session: Session, name: str) -> Dataset | None:
    """The row of the data set of this name, in the trash too."""
    return session.scalar(select(Dataset).where(Dataset.name == name))


def labels(session: Session, name: str) -> list[str]:
    """The names of all versions of a data set, newest first; those in the trash keep theirs."""
    query = select(DatasetVersion.label).join(Dataset).where(Dataset.name == name)
    return list(session.scalars(query.order_by(DatasetVersion.seq.desc())))


def versions_of(session: Session, name: str, may: ColumnElement[bool]) -> list[DatasetVersionView]:
    """The versions of a data set that fulfils ``may``, newest first; empty where there is no such data set."""
    query = _versions().where(Dataset.name == name, may, _HERE).order_by(DatasetVersion.seq.desc())
    return [_version_view(dataset, version) for dataset, version in session.execute(query)]


def alias_label(session: Session, name: str, alias: str) -> str | None:
    """The name of the version that an alias of a data set points to."""
    query = select(DatasetVersion.label).join(DatasetAlias, DatasetAlias.version_id == DatasetVersion.id)
    query = query.join(Dataset, Dataset.id == DatasetAlias.dataset_id)
    return session.scalar(query.where(Dataset.name == name, DatasetAlias.name == alias, _HERE))


def version_by_content(session: Session, name: str, content: str) -> DatasetVersionView | None:
    """The first version of this content that is not damaged."""
    query = _versions().where(
        Dataset.name == name, DatasetVersion.content == content, DatasetVersion.state != "failed", _HERE
    )
    return _one(session, query.order_by(DatasetVersion.seq))


def version_at(session: Session, path: str) -> DatasetVersionView | None:
    """The version whose files lie at ``path`` (relative to ``5_models``)."""
    return _one(session, _versions().where(DatasetVersion.path == path))


def facts(session: Session) -> list[DatasetVersionView]:
    """Every version of every data set, by name and number."""
    query = _versions().order_by(Dataset.owner, Dataset.name, DatasetVersion.seq)
    return [_version_view(dataset, version) for dataset, version in session.execute(query)]


def add_version(session: Session, new: DatasetFacts) -> DatasetVersionView:
    """Add ``new`` as the newest version of its data set, which is made where it is missing.

    Raises:
        InTrash: REG-020 when the data set of this name is in the trash.
    """
    dataset = session.scalar(select(Dataset).where(Dataset.owner == new.owner, Dataset.name == new.name))
    last = None
    if dataset is None:
        times = {"created": new.registered, "updated": new.registered}
        dataset = Dataset(owner=new.owner, team=new.team, name=new.name, version_count=0, **times)
        session.add(dataset)
    elif dataset.trashed is not None:
        raise InTrash(reference=new.name, group=DATASET.group)
    else:
        own = DatasetVersion.dataset_id == dataset.id
        last = session.scalar(select(func.max(DatasetVersion.seq)).where(own))
    dataset.version_count += 1
    dataset.updated = new.registered
    dataset.kind = new.kind
    dataset.size_bytes = (dataset.size_bytes or 0) + new.size_bytes
    version = _row(new, seq=(last or 0) + 1)
    version.dataset = dataset
    session.add(version)
    session.flush()
    index_words(session, DATASET, dataset, words_of(DATASET, version))
    return _version_view(dataset, version)


def set_state(session: Session, view: DatasetVersionView, state: State) -> DatasetVersionView:
    """The version in its new state."""
    query = _versions().where(
        Dataset.owner == view.owner, Dataset.name == view.name, DatasetVersion.label == view.label
    )
    dataset, version = session.execute(query).one()
    version.state = state
    session.flush()
    return _version_view(dataset, version)


def clear(session: Session) -> None:
    """Take all data sets and their versions out; the history stays."""
    session.execute(delete(SearchGram).where(SearchGram.kind == DATASET.name))
    session.execute(delete(Dataset))


def _versions() -> Select[Dataset, DatasetVersion]:
    return (
        select(Dataset, DatasetVersion)
        .join(DatasetVersion, DatasetVersion.dataset_id == Dataset.id)
        .options(selectinload(DatasetVersion.tags))
    )


def _one(session: Session, query: Select[Dataset, DatasetVersion]) -> DatasetVersionView | None:
    found = session.execute(query.limit(1)).first()
    return _version_view(*found) if found else None


def _row(new: DatasetFacts, *, seq: int) -> DatasetVersion:
    return DatasetVersion(
        seq=seq,
        label=new.label,
        state=new.state,
        description=new.description,
        path=new.path,
        size_bytes=new.size_bytes,
        row_count=new.row_count,
        rejected_count=new.rejected_count,
        parts={name: dict(part) for name, part in new.parts.items()},
        content=new.content,
        created=new.created,
        registered=new.registered,
        kind=new.kind,
        tags=[DatasetTag(tag=tag, position=place) for place, tag in enumerate(dict.fromkeys(new.tags))],
    )


def _version_view(dataset: Dataset, version: DatasetVersion) -> DatasetVersionView:
    return DatasetVersionView(
        name=dataset.name,
        label=version.label,
        state=version.state,  # type: ignore[arg-type]
        description=version.description,
        tags=tuple(tag.tag for tag in version.tags),
        path=version.path,
        size_bytes=version.size_bytes,
        row_count=version.row_count,
        rejected_count=version.rejected_count,
        parts=_in_order(version.parts),
        content=version.content,
        created=version.created,
        registered=version.registered,
        owner=dataset.owner,
        team=dataset.team,
        kind=version.kind,
        seq=version.seq,
        notes=version.notes or "",
        trashed=version.trashed,
    )


def _in_order(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: parts[name] for name in sorted(parts, key=_place_of_part)}


def _mend(told: dict[str, Any]) -> None:
    told["parts"] = _in_order(told["parts"])


def _place_of_part(name: str) -> tuple[int, str]:
    """Training before validation before test; the database gives them back by their letters."""
    return (_PARTS.index(name) if name in _PARTS else len(_PARTS), name)


def _dataset_view(dataset: Dataset, version: DatasetVersion) -> DatasetView:
    return DatasetView(
        name=dataset.name,
        owner=dataset.owner,
        team=dataset.team,
        created=dataset.created,
        updated=dataset.updated,
        version_count=dataset.version_count,
        newest=_version_view(dataset, version),
        kind=dataset.kind,
        description=dataset.description,
        licence=dataset.licence,
        visibility=dataset.visibility,
        size_bytes=dataset.size_bytes,
        trashed=dataset.trashed,
    )


LISTING = Listing(DATASET, DatasetView, DatasetVersionView, _mend, newest_in_state=True)
