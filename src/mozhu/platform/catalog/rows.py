"""The only SQL of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, or_, select
from sqlalchemy.orm import Session, selectinload

from mozhu.kernel.errors import InTrash
from mozhu.kernel.paths import next_version
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog.events import OF_MODEL, Happening, told
from mozhu.platform.catalog.kinds import MODEL
from mozhu.platform.catalog.listing import Listing
from mozhu.platform.catalog.views import HistoryView, ModelView, State, VersionFacts, VersionView
from mozhu.platform.catalog.words import index_words, words_of
from mozhu.platform.database.tables import LOCAL, History, Model, Tag, Version
from mozhu.platform.database.tables_assets import Alias, SearchGram, VersionFile
from mozhu.platform.database.tables_imports import OPEN_STATES, ImportRow
from mozhu.specs.records.manifest import ManifestFile

_HISTORY_LINES = 50
LISTING = Listing(MODEL, ModelView, VersionView, mend=lambda told: None)


# A version that is in the trash, or whose model is, is in no list.
_HERE = Version.trashed.is_(None) & Model.trashed.is_(None)


def models(session: Session, search: str | None = None) -> list[ModelView]:
    """Every model with its newest version, last changed first; ``search`` is a part of a name, task, tag …"""
    query = with_newest().where(Model.trashed.is_(None)).order_by(Model.updated.desc(), Model.id.desc())
    if search:
        query = query.where(_matches(search))
    return [model_view(model, version) for model, version in session.execute(query)]


def with_newest() -> Select[Model, Version]:
    """Models, each with its newest version that is not in the trash by itself (a model keeps one)."""
    newest = (
        select(func.max(Version.seq))
        .where(Version.model_id == Model.id, Version.trashed.is_(None))
        .correlate(Model)
        .scalar_subquery()
    )
    return (
        select(Model, Version)
        .join(Version, (Version.model_id == Model.id) & (Version.seq == newest))
        .options(selectinload(Version.tags))
    )


def labels(session: Session, name: str, owner: str | None = None) -> list[str]:
    """The names of all versions of a model, newest first; those in the trash keep theirs."""
    query = select(Version.label).join(Model).where(*_owned(owner), Model.name == name)
    return list(session.scalars(query.order_by(Version.seq.desc())))


def reserved_labels(session: Session, name: str, *, but: str | None = None) -> list[str]:
    """The names of versions of a model that imports are to become; ``but`` is one that does not count."""
    query = select(ImportRow.version).where(ImportRow.model == name, ImportRow.state.in_(OPEN_STATES))
    return list(session.scalars(query if but is None else query.where(ImportRow.id != but)))


def next_label(session: Session, name: str) -> str:
    """The version name that follows the newest one and that nothing bears or is to bear."""
    borne = labels(session, name)
    taken = {*borne, *reserved_labels(session, name)}
    label = next_version(borne[0] if borne else None)
    while label in taken:
        label = next_version(label)
    return label


def versions_of(
    session: Session,
    name: str,
    owner: str | None = None,
    *,
    limit: int | None = None,
    before: int | None = None,
) -> list[VersionView]:
    """The versions of a model, newest first; empty where there is no such model.

    Args:
        limit: At most so many; ``None``: all.
        before: Only those whose number ``seq`` is lower.
    """
    query = _versions(owner).where(Model.name == name, _HERE).order_by(Version.seq.desc())
    if before is not None:
        query = query.where(Version.seq < before)
    return [version_view(model, version) for model, version in session.execute(query.limit(limit))]


def version_named(session: Session, name: str, label: str, owner: str | None = None) -> VersionView | None:
    return _one(session, _versions(owner).where(Model.name == name, Version.label == label, _HERE))


def model_row(session: Session, name: str, owner: str | None = None) -> Model:
    """The row of a model that is known to be there."""
    return session.scalars(select(Model).where(*_owned(owner), Model.name == name)).one()


def holder_of(session: Session, name: str, new: tuple[str, str] = (LOCAL, LOCAL)) -> tuple[str, str]:
    """The owner and the team of the model of this name; of one that is not there yet ``new``."""
    found = session.execute(select(Model.owner, Model.team).where(Model.name == name)).first()
    return (found.owner, found.team) if found else new


def files_of(session: Session, view: VersionView) -> list[ManifestFile]:
    """The files of a version; none where a release before this table registered it."""
    query = select(VersionFile).join(Version, Version.id == VersionFile.version_id)
    query = query.join(Model, Model.id == Version.model_id)
    mine = (Model.owner == view.owner, Model.name == view.name, Version.label == view.label)
    return [
        ManifestFile(path=file.path, size=file.size, sha256=file.sha256)
        for file in session.scalars(query.where(*mine))
    ]


def every_file(session: Session) -> Iterator[tuple[str, str, ManifestFile | None]]:
    """Reference and place of each version, the trash included, with each of its files; ``None``: it has no rows."""
    query = select(
        Model.name, Version.label, Version.path, VersionFile.path, VersionFile.size, VersionFile.sha256
    )
    query = query.join(Version, Version.model_id == Model.id)
    query = query.join(VersionFile, VersionFile.version_id == Version.id, isouter=True)
    for name, label, place, path, size, sha256 in session.execute(query.order_by(Version.id)):
        file = None if path is None else ManifestFile.model_construct(path=path, size=size, sha256=sha256)
        yield f"{name}:{label}", place, file


def alias_label(session: Session, name: str, alias: str, owner: str | None = None) -> str | None:
    """The name of the version that an alias of a model points to."""
    query = (
        select(Version.label)
        .join(Alias, Alias.version_id == Version.id)
        .join(Model, Model.id == Alias.model_id)
    )
    return session.scalar(query.where(*_owned(owner), Model.name == name, Alias.name == alias, _HERE))


def version_by_checksum(
    session: Session, name: str, checksum: str, owner: str | None = None
) -> VersionView | None:
    query = _versions(owner).where(Model.name == name, Version.checksum == checksum, _HERE)
    query = query.order_by(Version.seq)
    return _one(session, query)


def version_at(session: Session, path: str) -> VersionView | None:
    """The version whose files lie at ``path`` (relative to ``5_models``)."""
    return _one(session, _versions(None).where(Version.path == path))


def newest_version(session: Session, name: str, owner: str | None = None) -> VersionView | None:
    return _one(session, _versions(owner).where(Model.name == name, _HERE).order_by(Version.seq.desc()))


def facts(session: Session) -> list[VersionView]:
    """Every version of every model, by name and number."""
    query = _versions(None).order_by(Model.owner, Model.name, Version.seq)
    return [version_view(model, version) for model, version in session.execute(query)]


@dataclass(frozen=True)
class Standing:
    """What there is of a model before a version is added: the names of its versions, newest first, those in the trash
    too; when the last one came, empty where none has; its owner and team, ``None`` where there is no such model.
    """

    labels: tuple[str, ...] = ()
    newest: str = ""
    holder: tuple[str, str] | None = None


def standing(session: Session, name: str) -> Standing:
    """What there is of the model ``name``.

    Raises:
        InTrash: REG-020 when it is in the trash.
    """
    query = select(Model.owner, Model.team, Model.trashed, Version.label, Version.registered)
    query = query.join(Version, Version.model_id == Model.id, isouter=True).where(Model.name == name)
    found = session.execute(query.order_by(Version.seq.desc())).all()
    if not found:
        return Standing()
    if found[0].trashed is not None:
        raise InTrash(reference=name, group=MODEL.group)
    there = [row for row in found if row.label is not None]
    newest = max((row.registered for row in there), default="")
    return Standing(tuple(row.label for row in there), newest, (found[0].owner, found[0].team))


def refuse_trashed(session: Session, name: str, owner: str | None = None) -> None:
    """Raises InTrash (REG-020) when the model of this name is in the trash."""
    query = select(Model.id).where(*_owned(owner), Model.name == name, Model.trashed.is_not(None))
    if session.scalar(query) is not None:
        raise InTrash(reference=name, group=MODEL.group)


def add_version(session: Session, new: VersionFacts, files: Iterable[ManifestFile] = ()) -> VersionView:
    """Add ``new`` with its files as the newest version of its model, which is made where it is missing.

    Raises:
        InTrash: REG-020 when the model of this name is in the trash.
    """
    model = session.scalar(select(Model).where(Model.owner == new.owner, Model.name == new.name))
    if model is not None and model.trashed is not None:
        raise InTrash(reference=new.name, group=MODEL.group)
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
    model.size_bytes = (model.size_bytes or 0) + new.size_bytes
    version = _row(new, seq=(last or 0) + 1)
    version.model = model
    session.add(version)
    session.flush()
    session.add_all(
        VersionFile(version_id=version.id, path=file.path, size=file.size, sha256=file.sha256)
        for file in files
    )
    index_words(session, MODEL, model, words_of(MODEL, version))
    return version_view(model, version)


def set_state(session: Session, view: VersionView, state: State, *, certified: bool) -> VersionView:
    """The version in its new state."""
    query = _versions(view.owner).where(Model.name == view.name, Version.label == view.label)
    model, version = session.execute(query).one()
    version.state, version.certified = state, certified
    session.flush()
    return version_view(model, version)


def trained_on(session: Session, reference: str, may: ColumnElement[bool]) -> list[str]:
    """References of the model versions outside of the trash that fulfil ``may`` and whose training names ``reference``,
    oldest first.
    """
    query = select(Model.name, Version.label).join(Version, Version.model_id == Model.id)
    query = query.where(Version.training_dataset == reference, may, _HERE).order_by(Version.registered)
    return [f"{name}:{label}" for name, label in session.execute(query)]


def clear(session: Session) -> None:
    """Take all models and versions out; the history stays."""
    session.execute(delete(SearchGram).where(SearchGram.kind == OF_MODEL))
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


def history_of(session: Session, name: str, kind: str, subject: Subject) -> list[HistoryView]:
    """The last things that happened to a model or a data set, newest first."""
    query = select(History).where(History.model == name, History.subject == kind)
    query = query.order_by(History.id.desc()).limit(_HISTORY_LINES)
    return [
        HistoryView(line.time, line.what, line.model, line.version, told(line.details, subject))
        for line in session.scalars(query)
    ]


def newest_event(session: Session) -> int:
    """The number of the last line of the history; 0 where nothing has happened."""
    return session.scalar(select(func.max(History.id))) or 0


def events_after(
    session: Session, after: int, limit: int, may: ColumnElement[bool], subject: Subject
) -> list[dict[str, Any]]:
    """At most ``limit`` lines of the history behind number ``after`` that fulfil ``may``, oldest first."""
    query = select(History).where(History.id > after, may).order_by(History.id).limit(limit)
    return [
        {
            "id": line.id,
            "time": line.time,
            "what": line.what,
            "subject": line.subject,
            "model": line.model,
            "version": line.version,
            "details": told(line.details, subject),
        }
        for line in session.scalars(query)
    ]


def _owned(owner: str | None) -> tuple[ColumnElement[bool], ...]:
    """Names are of one installation: whose it is need not be said."""
    return () if owner is None else (Model.owner == owner,)


def _versions(owner: str | None) -> Select[Model, Version]:
    query = (
        select(Model, Version).join(Version, Version.model_id == Model.id).options(selectinload(Version.tags))
    )
    return query if owner is None else query.where(Model.owner == owner)


def _one(session: Session, query: Select[Model, Version]) -> VersionView | None:
    found = session.execute(query.limit(1)).first()
    return version_view(*found) if found else None


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


def version_view(model: Model, version: Version) -> VersionView:
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
        notes=version.notes or "",
        trashed=version.trashed,
    )


def model_view(model: Model, version: Version) -> ModelView:
    return ModelView(
        name=model.name,
        owner=model.owner,
        team=model.team,
        created=model.created,
        updated=model.updated,
        version_count=model.version_count,
        newest=version_view(model, version),
        type=model.type,
        description=model.description,
        licence=model.licence,
        visibility=model.visibility,
        base_reference=model.base_reference,
        size_bytes=model.size_bytes,
        trashed=model.trashed,
    )
