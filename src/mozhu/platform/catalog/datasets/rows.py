"""The only SQL about data sets."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.orm import Session, selectinload

from mozhu.platform.catalog.datasets.views import DatasetFacts, DatasetVersionView, DatasetView
from mozhu.platform.catalog.views import State
from mozhu.platform.database.tables import LOCAL, Dataset, DatasetTag, DatasetVersion

_PARTS = ("train", "validation", "test")


def datasets(
    session: Session, may: ColumnElement[bool], search: str | None = None, state: State | None = None
) -> list[DatasetView]:
    """Every data set that fulfils ``may`` with its newest version, last changed first.

    With ``state`` its newest version in that state, where it has one; ``search`` is a part of a name, version,
    tag or description.
    """
    newest = select(func.max(DatasetVersion.seq)).where(DatasetVersion.dataset_id == Dataset.id)
    if state is not None:
        newest = newest.where(DatasetVersion.state == state)
    query = (
        select(Dataset, DatasetVersion)
        .join(
            DatasetVersion,
            (DatasetVersion.dataset_id == Dataset.id)
            & (DatasetVersion.seq == newest.correlate(Dataset).scalar_subquery()),
        )
        .where(may)
        .options(selectinload(DatasetVersion.tags))
        .order_by(Dataset.updated.desc(), Dataset.id.desc())
    )
    if search:
        query = query.where(_matches(search))
    return [_dataset_view(dataset, version) for dataset, version in session.execute(query)]


def names(session: Session, may: ColumnElement[bool], owner: str = LOCAL) -> list[str]:
    query = select(Dataset.name).where(Dataset.owner == owner, may)
    return list(session.scalars(query.order_by(Dataset.name)))


def versions_of(
    session: Session, name: str, may: ColumnElement[bool], owner: str = LOCAL
) -> list[DatasetVersionView]:
    """The versions of a data set that fulfils ``may``, newest first; empty where there is no such data set."""
    query = _versions(owner).where(Dataset.name == name, may).order_by(DatasetVersion.seq.desc())
    return [_version_view(dataset, version) for dataset, version in session.execute(query)]


def version_by_content(
    session: Session, name: str, content: str, owner: str = LOCAL
) -> DatasetVersionView | None:
    """The first version of this content that is not damaged."""
    query = _versions(owner).where(
        Dataset.name == name, DatasetVersion.content == content, DatasetVersion.state != "failed"
    )
    return _one(session, query.order_by(DatasetVersion.seq))


def version_at(session: Session, path: str) -> DatasetVersionView | None:
    """The version whose files lie at ``path`` (relative to ``5_models``)."""
    return _one(session, _versions(None).where(DatasetVersion.path == path))


def facts(session: Session) -> list[DatasetVersionView]:
    """Every version of every data set, by name and number."""
    query = _versions(None).order_by(Dataset.owner, Dataset.name, DatasetVersion.seq)
    return [_version_view(dataset, version) for dataset, version in session.execute(query)]


def add_version(session: Session, new: DatasetFacts) -> DatasetVersionView:
    """Add ``new`` as the newest version of its data set, which is made where it is missing."""
    dataset = session.scalar(select(Dataset).where(Dataset.owner == new.owner, Dataset.name == new.name))
    last = None
    if dataset is None:
        times = {"created": new.registered, "updated": new.registered}
        dataset = Dataset(owner=new.owner, team=new.team, name=new.name, version_count=0, **times)
        session.add(dataset)
    else:
        own = DatasetVersion.dataset_id == dataset.id
        last = session.scalar(select(func.max(DatasetVersion.seq)).where(own))
    dataset.version_count += 1
    dataset.updated = new.registered
    version = _row(new, seq=(last or 0) + 1)
    version.dataset = dataset
    session.add(version)
    session.flush()
    return _version_view(dataset, version)


def set_state(session: Session, view: DatasetVersionView, state: State) -> DatasetVersionView:
    """The version in its new state."""
    query = _versions(view.owner).where(Dataset.name == view.name, DatasetVersion.label == view.label)
    dataset, version = session.execute(query).one()
    version.state = state
    session.flush()
    return _version_view(dataset, version)


def clear(session: Session) -> None:
    """Take all data sets and their versions out; the history stays."""
    session.execute(delete(Dataset))


def _versions(owner: str | None) -> Select[Dataset, DatasetVersion]:
    query = (
        select(Dataset, DatasetVersion)
        .join(DatasetVersion, DatasetVersion.dataset_id == Dataset.id)
        .options(selectinload(DatasetVersion.tags))
    )
    return query if owner is None else query.where(Dataset.owner == owner)


def _one(session: Session, query: Select[Dataset, DatasetVersion]) -> DatasetVersionView | None:
    found = session.execute(query.limit(1)).first()
    return _version_view(*found) if found else None


def _matches(search: str) -> ColumnElement[bool]:
    in_version = Dataset.versions.any(
        or_(
            DatasetVersion.label.icontains(search, autoescape=True),
            DatasetVersion.description.icontains(search, autoescape=True),
            DatasetVersion.tags.any(DatasetTag.tag.icontains(search, autoescape=True)),
        )
    )
    return or_(Dataset.name.icontains(search, autoescape=True), in_version)


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
        parts={name: dict(version.parts[name]) for name in sorted(version.parts, key=_place_of_part)},
        content=version.content,
        created=version.created,
        registered=version.registered,
        owner=dataset.owner,
        team=dataset.team,
        seq=version.seq,
    )


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
    )
