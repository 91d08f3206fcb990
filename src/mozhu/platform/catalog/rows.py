"""The only SQL of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.orm import Session, selectinload

from mozhu.platform.catalog.events import OF_MODEL, Happening
from mozhu.platform.catalog.views import HistoryView, ModelView, State, VersionFacts, VersionView
from mozhu.platform.database.tables import LOCAL, History, Model, Tag, Version

_HISTORY_LINES = 50


def models(session: Session, search: str | None = None) -> list[ModelView]:
    """Every model with its newest version, last changed first; ``search`` is a part of a name, task, tag …"""
    newest = (
        select(func.max(Version.seq)).where(Version.model_id == Model.id).correlate(Model).scalar_subquery()
    )
    query = (
        select(Model, Version)
        .join(Version, (Version.model_id == Model.id) & (Version.seq == newest))
        .options(selectinload(Version.tags))
        .order_by(Model.updated.desc(), Model.id.desc())
    )
    if search:
        query = query.where(_matches(search))
    return [_model_view(model, version) for model, version in session.execute(query)]


def names(session: Session, owner: str = LOCAL) -> list[str]:
    return list(session.scalars(select(Model.name).where(Model.owner == owner).order_by(Model.name)))


def versions_of(session: Session, name: str, owner: str = LOCAL) -> list[VersionView]:
    """The versions of a model, newest first; empty where there is no such model."""
    query = _versions(owner).where(Model.name == name).order_by(Version.seq.desc())
    return [_version_view(model, version) for model, version in session.execute(query)]


def version_by_checksum(session: Session, name: str, checksum: str, owner: str = LOCAL) -> VersionView | None:
    query = _versions(owner).where(Model.name == name, Version.checksum == checksum).order_by(Version.seq)
    return _one(session, query)


def version_at(session: Session, path: str) -> VersionView | None:
    """The version whose files lie at ``path`` (relative to ``5_models``)."""
    return _one(session, _versions(None).where(Version.path == path))


def newest_version(session: Session, name: str, owner: str = LOCAL) -> VersionView | None:
    return _one(session, _versions(owner).where(Model.name == name).order_by(Version.seq.desc()))


def facts(session: Session) -> list[VersionView]:
    """Every version of every model, by name and number."""
    query = _versions(None).order_by(Model.owner, Model.name, Version.seq)
    return [_version_view(model, version) for model, version in session.execute(query)]


def add_version(session: Session, new: VersionFacts) -> VersionView:
    """Add ``new`` as the newest version of its model, which is made where it is missing."""
    model = session.scalar(select(Model).where(Model.owner == new.owner, Model.name == new.name))
    if model is None:
        model = Model(
            owner=new.owner,
            team=new.team,
            name=new.name,
            created=new.registered,
            updated=new.registered,
            version_count=0,
        )
        session.add(model)
    last = (
        session.scalar(select(func.max(Version.seq)).where(Version.model_id == model.id))
        if model.id
        else None
    )
    model.version_count += 1
    model.updated = new.registered
    version = _row(new, seq=(last or 0) + 1)
    version.model = model
    session.add(version)
    session.flush()
    return _version_view(model, version)


def set_state(session: Session, view: VersionView, state: State, *, certified: bool) -> VersionView:
    """The version in its new state."""
    query = _versions(view.owner).where(Model.name == view.name, Version.label == view.label)
    model, version = session.execute(query).one()
    version.state, version.certified = state, certified
    session.flush()
    return _version_view(model, version)


def trained_on(session: Session, reference: str, owner: str = LOCAL) -> list[str]:
    """References of the model versions whose training names the data ``reference``, oldest first."""
    query = _versions(owner).where(Version.training_dataset == reference).order_by(Version.registered)
    return [f"{model.name}:{version.label}" for model, version in session.execute(query)]


def clear(session: Session) -> None:
    """Take all models and versions out; the history stays."""
    session.execute(delete(Model))


def add_history(session: Session, happenings: Iterable[Happening], time: str) -> None:
    for item in happenings:
        session.add(
            History(
                time=time,
                what=item.what,
                subject=item.subject,
                model=item.model,
                version=item.version,
                details=item.details,
            )
        )


def history_of(session: Session, name: str, subject: str = OF_MODEL) -> list[HistoryView]:
    """The last things that happened to a model or a data set, newest first."""
    query = select(History).where(History.model == name, History.subject == subject)
    query = query.order_by(History.id.desc()).limit(_HISTORY_LINES)
    return [
        HistoryView(line.time, line.what, line.model, line.version, line.details)
        for line in session.scalars(query)
    ]


def newest_event(session: Session) -> int:
    """The number of the last line of the history; 0 where nothing has happened."""
    return session.scalar(select(func.max(History.id))) or 0


def events_after(session: Session, after: int, limit: int) -> list[dict[str, Any]]:
    """At most ``limit`` lines of the history behind number ``after``, oldest first."""
    query = select(History).where(History.id > after).order_by(History.id).limit(limit)
    return [
        {
            "id": line.id,
            "time": line.time,
            "what": line.what,
            "subject": line.subject,
            "model": line.model,
            "version": line.version,
            "details": line.details,
        }
        for line in session.scalars(query)
    ]


def _versions(owner: str | None) -> Select[Model, Version]:
    query = (
        select(Model, Version).join(Version, Version.model_id == Model.id).options(selectinload(Version.tags))
    )
    return query if owner is None else query.where(Model.owner == owner)


def _one(session: Session, query: Select[Model, Version]) -> VersionView | None:
    found = session.execute(query.limit(1)).first()
    return _version_view(*found) if found else None


def _matches(search: str) -> ColumnElement[bool]:
    texts = (Version.label, Version.base_model, Version.task, Version.description, Version.model_type)
    in_version = Model.versions.any(
        or_(
            *(column.icontains(search, autoescape=True) for column in texts),
            Version.tags.any(Tag.tag.icontains(search, autoescape=True)),
        )
    )
    return or_(Model.name.icontains(search, autoescape=True), in_version)


def _row(new: VersionFacts, *, seq: int) -> Version:
    return Version(
        seq=seq,
        label=new.label,
        state=new.state,
        kind=new.kind,
        model_type=new.model_type,
        base_model=new.base_model,
        task=new.task,
        description=new.description,
        training_dataset=new.training_dataset,
        training_steps=new.training_steps,
        performance=dict(new.performance),
        path=new.path,
        size_bytes=new.size_bytes,
        checksum=new.checksum,
        certified=new.certified,
        created=new.created,
        registered=new.registered,
        tags=[Tag(tag=tag, position=position) for position, tag in enumerate(dict.fromkeys(new.tags))],
    )


def _version_view(model: Model, version: Version) -> VersionView:
    return VersionView(
        name=model.name,
        label=version.label,
        state=version.state,  # type: ignore[arg-type]
        kind=version.kind,
        model_type=version.model_type,
        base_model=version.base_model,
        task=version.task,
        description=version.description,
        training_dataset=version.training_dataset,
        training_steps=version.training_steps,
        performance=dict(version.performance),
        tags=tuple(tag.tag for tag in version.tags),
        path=version.path,
        size_bytes=version.size_bytes,
        checksum=version.checksum,
        certified=version.certified,
        created=version.created,
        registered=version.registered,
        owner=model.owner,
        team=model.team,
        seq=version.seq,
    )


def _model_view(model: Model, version: Version) -> ModelView:
    return ModelView(
        name=model.name,
        owner=model.owner,
        team=model.team,
        created=model.created,
        updated=model.updated,
        version_count=model.version_count,
        newest=_version_view(model, version),
    )
