"""Models as people keep them: found, described, shared, named by aliases, put into the trash and taken back.

Every function asks first what its subject may do. Who may not read a model learns nothing of it (REG-001).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    BadValue,
    InTrash,
    LastVersion,
    NotInTrash,
    ProtectedAlias,
    UnknownAlias,
    UnknownReference,
    VersionInUse,
)
from mozhu.kernel.files import sha256_json
from mozhu.kernel.paths import Workspace, check_name, next_version
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.accounts.subject import LOCAL_ADMIN, RIGHTS, VISIBILITIES, Right, Subject
from mozhu.platform.catalog import changes, events, rows, searching
from mozhu.platform.catalog.access import demand, demand_administrator, readable
from mozhu.platform.catalog.cards import card_of, card_path, recount, write_card
from mozhu.platform.catalog.lineage import Edge, Family, Node, add_edges, family, knows, node_of, sees
from mozhu.platform.catalog.naming import NameAdvice, advice_for
from mozhu.platform.catalog.references import LATEST, parse_reference
from mozhu.platform.catalog.room import CatalogueRoom
from mozhu.platform.catalog.searching import Counts, ModelPage, ModelQuery
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables import LOCAL, Model, Version
from mozhu.platform.database.tables_assets import Alias, Rating, Share, VersionFile
from mozhu.workspace.runs import run_folders

TYPES = ("text", "image", "file")
# A port: a reference (``name:v2``) -> the names of what runs with it.
InUse = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class AliasView:
    name: str
    reference: str
    protected: bool


class Models(CatalogueRoom):
    """Args as ``CatalogueRoom``; ``in_use`` says who uses a version, without it the workspace's running runs."""

    def __init__(
        self,
        root: Path,
        *,
        database: Database | Path | str | None = None,
        clock: Callable[[], datetime] = utc_now,
        in_use: InUse | None = None,
    ) -> None:
        super().__init__(root, database=database, clock=clock)
        self._in_use = in_use or _running_runs(Workspace(Path(root).absolute()))

    def page(
        self,
        asked: ModelQuery,
        *,
        subject: Subject = LOCAL_ADMIN,
        limit: int = 50,
        after: tuple[Any, ...] | None = None,
    ) -> ModelPage:
        """A page of the models that ``subject`` may read; ``after`` is ``next`` of the page before."""
        database = self._existing()
        if database is None:
            return ModelPage((), None)
        with database.reading() as session:
            return searching.page(session, subject, asked, limit, after)

    def counts(self, *, subject: Subject = LOCAL_ADMIN) -> Counts:
        """The statistics cards, as of now."""
        database = self._existing()
        if database is None:
            return Counts(0, 0, 0, {}, 0)
        with database.reading() as session:
            return searching.counts(session, subject)

    def edit(
        self,
        name: str,
        *,
        subject: Subject = LOCAL_ADMIN,
        owner: str = LOCAL,
        before: Callable[[], None] = lambda: None,
        **fields: str,
    ) -> None:
        """Set ``type``, ``description``, ``licence``, ``visibility``, ``base_reference`` of a model.

        Args:
            before: Is called while nobody else can write; what it raises leaves all as it was.

        Raises:
            UnknownReference: REG-001. NotAllowed: REG-023. BadValue: REG-025.
        """
        for field, known in (("type", TYPES), ("visibility", VISIBILITIES)):
            if field in fields and fields[field] not in known:
                raise BadValue(value=fields[field], field=field, known=list(known))
        with self._changing(name, owner, subject, "manage" if "visibility" in fields else "write") as change:
            before()
            for field in ("type", "description", "licence", "visibility", "base_reference"):
                if field in fields:
                    setattr(change.model, field, fields[field])
            rows.reindex(change.session, change.model)
            change.tell(events.EDITED, details=dict(fields))

    def set_notes(
        self,
        reference: str,
        notes: str,
        *,
        subject: Subject = LOCAL_ADMIN,
        owner: str = LOCAL,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """The note of a version; ``before`` as for :meth:`edit`."""
        with self._changing(reference, owner, subject, "write") as change:
            before()
            change.version(reference).notes = notes
            change.session.flush()
            rows.reindex(change.session, change.model)
            change.tell(events.EDITED, reference, {"notes": notes})

    def delete(
        self,
        reference: str,
        *,
        subject: Subject = LOCAL_ADMIN,
        owner: str = LOCAL,
        force: str = "",
        keep: bool = True,
    ) -> tuple[str, ...]:
        """Put a version (``name:v2``), or a model with all its versions (``name``), into the trash.

        Returns the references that are there now and were not before. Files stay until the trash is emptied.

        Args:
            force: The reference again, to delete what running jobs or endpoints use.
            keep: False only tells what would be deleted.

        Raises:
            LastVersion: REG-018. VersionInUse: REG-019. UnknownReference: REG-001. NotAllowed: REG-023.
        """
        with self._changing(reference, owner, subject, "manage", keep=keep) as change:
            whole = _label_of(reference) is None
            versions = change.here() if whole else [change.version(reference)]
            names = tuple(f"{change.model.name}:{version.label}" for version in versions)
            if force != reference:
                self._demand_unused(reference, names)
            now = iso_time(self._clock())
            if whole:
                change.model.trashed, change.model.trashed_by = now, subject.user
                change.tell(events.TRASHED, details={"versions": list(names)})
            elif changes.trash_version(change.session, versions[0], now, subject.user):
                recount(change.session, change.model)
                change.tell(events.VERSION_TRASHED, reference)
            else:
                raise LastVersion(reference=reference, name=change.model.name)
        return names

    def restore(
        self, reference: str, *, subject: Subject = LOCAL_ADMIN, owner: str = LOCAL, keep: bool = True
    ) -> None:
        """Take a model or a version out of the trash.

        Raises:
            NotInTrash: REG-021. InTrash: REG-020, the version's model is there too. UnknownReference: REG-001.
        """
        with self._changing(reference, owner, subject, "manage", keep=keep, trashed=True) as change:
            if _label_of(reference) is None:
                if change.model.trashed is None:
                    raise NotInTrash(reference=reference)
                change.model.trashed, change.model.trashed_by = None, ""
                change.tell(events.RESTORED)
                return
            if change.model.trashed is not None:
                raise InTrash(reference=change.model.name)
            version = change.version(reference, trashed=True)
            if version.trashed is None:
                raise NotInTrash(reference=reference)
            changes.restore_version(change.session, version)
            recount(change.session, change.model)
            change.tell(events.VERSION_RESTORED, reference)

    def empty_trash(
        self, *, subject: Subject = LOCAL_ADMIN, days: int = 30, keep: bool = True
    ) -> tuple[str, ...]:
        """Remove rows and folders of what has been in the trash for ``days``; blobs are freed by ``registry gc``.

        Returns the references that are gone for good.

        Raises:
            NotAllowed: REG-023, for anyone but an administrator.
        """
        demand_administrator(subject, "5_models")
        database = self._existing()
        if database is None:
            return ()
        before = iso_time(self._clock() - timedelta(days=days))
        with changes.taking_away(self.models) as take, database.writing(keep=keep) as session:
            whole = list(session.scalars(select(Model).where(Model.trashed <= before)))
            single = select(Version).join(Model).where(Version.trashed <= before, Model.trashed.is_(None))
            versions = [*session.scalars(single), *(version for model in whole for version in model.versions)]
            gone = tuple(sorted(f"{version.model.name}:{version.label}" for version in versions))
            for version in versions if keep else ():
                take(self.models / version.path)
            self._forget(session, versions, whole, keep=keep)
        return gone

    def _forget(self, session: Session, versions: list[Version], whole: list[Model], *, keep: bool) -> None:
        now = iso_time(self._clock())
        for version in versions:
            happening = events.Happening(events.PURGED, version.model.name, version.label)
            rows.add_history(session, [happening], now)
        touched = {version.model for version in versions} - set(whole)
        for version in versions:
            if version.model in touched:
                changes.forget_version(session, version)
        for model in whole:
            if keep:
                card_path(self.models, model.owner, model.name).unlink(missing_ok=True)
            changes.forget_model(session, model)
        for model in touched:
            session.expire(model)
            recount(session, model)
            rows.reindex(session, model)
            if keep:
                write_card(self.models, session, model)

    def aliases(
        self, name: str, *, subject: Subject = LOCAL_ADMIN, owner: str = LOCAL
    ) -> tuple[AliasView, ...]:
        with self._seeing(name, owner, subject) as (session, model):
            query = select(Alias, Version.label).join(Version, Version.id == Alias.version_id)
            query = query.where(Alias.model_id == model.id).order_by(Alias.name)
            return tuple(
                AliasView(alias.name, f"{model.name}:{label}", alias.protected)
                for alias, label in session.execute(query)
            )

    def set_alias(
        self,
        reference: str,
        alias: str,
        *,
        protected: bool | None = None,
        force: bool = False,
        subject: Subject = LOCAL_ADMIN,
        owner: str = LOCAL,
        keep: bool = True,
    ) -> None:
        """``name@alias`` is the version ``reference`` from now on.

        A protected alias moves only with ``force`` and for who may manage the model; so does its protection.

        Raises:
            ProtectedAlias: REG-022. UnknownReference: REG-001. NotAllowed: REG-023. BadName: FILE-008.
        """
        _check_alias(alias)
        with self._changing(reference, owner, subject, "write", keep=keep) as change:
            version = change.version(reference)
            there = change.alias(alias)
            if protected is not None or (there is not None and there.protected):
                demand(change.session, subject, change.model, "manage")
            if there is not None and there.protected and not force:
                change.refuse_alias(there)
            if there is None:
                there = Alias(model_id=change.model.id, name=alias, version_id=version.id, protected=False)
                change.session.add(there)
            there.version_id = version.id
            there.protected = there.protected if protected is None else protected
            change.tell(events.ALIAS_SET, reference, {"alias": alias})

    def remove_alias(
        self,
        name: str,
        alias: str,
        *,
        force: bool = False,
        subject: Subject = LOCAL_ADMIN,
        owner: str = LOCAL,
        keep: bool = True,
    ) -> None:
        """Raises REG-024 where there is none, REG-022 for a protected one without ``force``."""
        with self._changing(name, owner, subject, "write", keep=keep) as change:
            there = change.alias(alias)
            if there is None:
                known = change.session.scalars(select(Alias.name).where(Alias.model_id == change.model.id))
                raise UnknownAlias(name=change.model.name, alias=alias, known=sorted(known) or ["-"])
            if there.protected:
                demand(change.session, subject, change.model, "manage")
                if not force:
                    change.refuse_alias(there)
            change.session.delete(there)
            change.tell(events.ALIAS_REMOVED, details={"alias": alias})

    def share(
        self,
        name: str,
        with_whom: str,
        right: Right | None,
        *,
        subject: Subject = LOCAL_ADMIN,
        owner: str = LOCAL,
    ) -> None:
        """``user:ann`` or ``team:vision`` has ``right`` on the model; ``None`` takes it back."""
        if right is not None and right not in RIGHTS:
            raise BadValue(value=right, field="right", known=list(RIGHTS))
        if with_whom.partition(":")[0] not in ("user", "team") or not with_whom.partition(":")[2]:
            raise BadValue(value=with_whom, field="with", known=["user:NAME", "team:NAME"])
        with self._changing(name, owner, subject, "manage") as change:
            there = change.session.get(Share, (with_whom, change.model.id))
            if right is None:
                change.session.delete(there) if there is not None else None
            elif there is None:
                change.session.add(Share(subject=with_whom, model_id=change.model.id, right=right))
            else:
                there.right = right
            change.tell(events.SHARED, details={"with": with_whom, "right": right})

    def shares(
        self, name: str, *, subject: Subject = LOCAL_ADMIN, owner: str = LOCAL
    ) -> tuple[tuple[str, str], ...]:
        """Who the model is shared with (``user:ann``, ``team:vision``) and their rights, for who may manage it.

        Raises:
            UnknownReference: REG-001. NotAllowed: REG-023.
        """
        with self._seeing(name, owner, subject) as (session, model):
            demand(session, subject, model, "manage")
            query = select(Share.subject, Share.right).where(Share.model_id == model.id)
            return tuple((row[0], row[1]) for row in session.execute(query.order_by(Share.subject)))

    def rate(
        self, name: str, stars: int, comment: str = "", *, subject: Subject = LOCAL_ADMIN, owner: str = LOCAL
    ) -> None:
        """What ``subject`` thinks of a model that they may use, 1 to 5; a second time replaces the first."""
        if not 1 <= stars <= 5:
            raise BadValue(value=str(stars), field="stars", known=["1", "2", "3", "4", "5"])
        with self._changing(name, owner, subject, "use") as change:
            now = iso_time(self._clock())
            rating = Rating(
                model_id=change.model.id, user=subject.user, stars=stars, comment=comment, time=now
            )
            change.session.merge(rating)

    def rating(
        self, name: str, *, subject: Subject = LOCAL_ADMIN, owner: str = LOCAL
    ) -> tuple[float | None, int]:
        """The mean of the stars and how many gave them."""
        with self._seeing(name, owner, subject) as (session, model):
            query = select(func.avg(Rating.stars), func.count()).where(Rating.model_id == model.id)
            mean, count = session.execute(query).one()
            return (float(mean) if count else None), count

    def suggest(self, name: str, *, subject: Subject = LOCAL_ADMIN, owner: str = LOCAL) -> str:
        """The version name that would follow, which is not in use, in the trash neither.

        Of a name that ``subject`` may not read it is the first one, as of a name that nobody has.
        """
        database = self._existing()
        labels: list[str] = []
        if database is not None:
            with database.reading() as session:
                query = select(Model.id).where(Model.owner == owner, Model.name == name, readable(subject))
                seen = session.scalar(query) is not None
                labels = rows.labels(session, name, owner) if seen else []
        label = next_version(labels[0] if labels else None)
        while label in labels:
            label = next_version(label)
        return label

    def advice(
        self, reference: str, *, subject: Subject = LOCAL_ADMIN, owner: str = LOCAL
    ) -> tuple[NameAdvice, ...]:
        """What the naming rules say of a version, its model's name and its note."""
        with self._seeing(reference, owner, subject) as (session, model):
            label = _label_of(reference)
            chosen = (
                rows.newest_version(session, model.name, owner)
                if label is None
                else rows.version_named(session, model.name, label, owner)
            )
            if chosen is None:
                raise UnknownReference(reference=reference, known=[])
            return advice_for(chosen)

    def family(self, reference: str, *, subject: Subject = LOCAL_ADMIN, owner: str = LOCAL) -> Family:
        """Everything that a version, row, run or data set came from, and everything that came from it.

        ``reference``: ``name``, ``name:v2``, ``name@alias``; ``data:v3#118``; ``run://…``, ``dataset://data:v3``.
        It ends at what ``subject`` may not read.

        Raises:
            UnknownReference: REG-001.
        """
        node = node_of(reference)
        if node.kind != "version":
            with self._opened().reading() as session:
                found = family(session, subject, node) if sees(session, subject, node) else None
                if found is None or not (subject.is_admin or knows(session, subject, found)):
                    raise UnknownReference(reference=reference, known=[])
                return found
        with self._seeing(reference, owner, subject) as (session, model):
            change = _Change(session, model, "", subject)
            label = change.version(reference, trashed=True).label
            return family(session, subject, Node("version", f"{model.name}:{label}"))

    def connect(self, edges: Sequence[Edge]) -> None:
        """Edges of other rooms are in the graph: an endpoint that serves a version, an answer of an endpoint."""
        with self._opened().writing() as session:
            add_edges(session, edges)

    def contents_in_use(self) -> Iterator[tuple[str, str]]:
        """``sha256:…`` of every file of every version, the trash included, with the reference that needs it."""
        database = self._existing()
        if database is None:
            return
        query = select(VersionFile.sha256, Model.name, Version.label)
        query = query.join(Version, Version.id == VersionFile.version_id).join(
            Model, Model.id == Version.model_id
        )
        with database.reading() as session:
            for digest, name, label in session.execute(query.order_by(VersionFile.sha256)):
                yield digest, f"{name}:{label}"

    def fingerprint(self) -> str:
        """``sha256:…`` of every card; equal after a rescan of an unchanged tree."""
        database = self._existing()
        if database is None:
            return sha256_json([])
        with database.reading() as session:
            models = session.scalars(select(Model).order_by(Model.owner, Model.name))
            return sha256_json([card_of(session, model).to_json() for model in models])

    def _demand_unused(self, reference: str, names: Sequence[str]) -> None:
        users = sorted({user for name in names for user in self._in_use(name)})
        if users:
            raise VersionInUse(reference=reference, users=users)

    @contextmanager
    def _seeing(self, reference: str, owner: str, subject: Subject) -> Iterator[tuple[Session, Model]]:
        database = self._existing()
        if database is None:
            raise UnknownReference(reference=reference, known=[])
        with database.reading() as session:
            yield session, _model(session, reference, owner, subject)

    @contextmanager
    def _changing(
        self,
        reference: str,
        owner: str,
        subject: Subject,
        right: Right,
        *,
        keep: bool = True,
        trashed: bool = False,
    ) -> Iterator[_Change]:
        """The model of ``reference``, for who has ``right`` on it; its card follows the rows."""
        if self._existing() is None:
            raise UnknownReference(reference=reference, known=[])
        with self._opened().writing(keep=keep) as session:
            model = _model(session, reference, owner, subject)
            demand(session, subject, model, right)
            if model.trashed is not None and not trashed:
                raise InTrash(reference=model.name)
            change = _Change(session, model, iso_time(self._clock()), subject)
            yield change
            if keep:
                write_card(self.models, session, model)


@dataclass(frozen=True)
class _Change:
    session: Session
    model: Model
    now: str
    subject: Subject

    def here(self) -> list[Version]:
        query = select(Version).where(Version.model_id == self.model.id, Version.trashed.is_(None))
        return list(self.session.scalars(query.order_by(Version.seq)))

    def newest(self, count: int) -> list[Version]:
        query = select(Version).where(Version.model_id == self.model.id, Version.trashed.is_(None))
        return list(self.session.scalars(query.order_by(Version.seq.desc()).limit(count)))

    def version(self, reference: str, *, trashed: bool = False) -> Version:
        """The version named, the newest where only the model is; one in the trash only where that is asked for."""
        label = _label_of(reference)
        if label is None or label == f"@{LATEST}":
            return self.newest(1)[0]
        if label.startswith("@"):
            alias = self.alias(label[1:])
            found = self.session.get(Version, alias.version_id) if alias else None
        else:
            found = changes.version_named(self.session, self.model, label)
        if found is None or (found.trashed and not trashed):
            known = [f"{self.model.name}:{version.label}" for version in self.newest(5)]
            raise UnknownReference(reference=reference, known=known)
        return found

    def alias(self, name: str) -> Alias | None:
        return self.session.get(Alias, (self.model.id, name))

    def refuse_alias(self, alias: Alias) -> None:
        label = self.session.scalar(select(Version.label).where(Version.id == alias.version_id))
        raise ProtectedAlias(name=self.model.name, alias=alias.name, version=label)

    def tell(self, what: str, reference: str = "", details: dict[str, Any] | None = None) -> None:
        label = (_label_of(reference) or "").lstrip("@")
        told = {"by": self.subject.user, **(details or {})}
        happening = events.Happening(what, self.model.name, label, told)
        rows.add_history(self.session, [happening], self.now)


def _model(session: Session, reference: str, owner: str, subject: Subject) -> Model:
    parsed = parse_reference(reference)
    name = parsed.name if parsed else reference
    query = select(Model).where(Model.owner == owner, Model.name == name, readable(subject))
    model = session.scalar(query)
    if model is None:
        known = rows.near_names(session, name, readable(subject), owner)
        raise UnknownReference(reference=reference, known=known)
    return model


def _label_of(reference: str) -> str | None:
    """``v2`` of ``name:v2``, ``@best`` of ``name@best``, ``None`` of ``name``."""
    parsed = parse_reference(reference)
    if parsed is None or (parsed.version is None and parsed.alias is None):
        return None
    return parsed.version if parsed.version is not None else f"@{parsed.alias}"


def _check_alias(alias: str) -> None:
    check_name(alias)
    if alias == LATEST or "@" in alias or ":" in alias:
        raise BadValue(value=alias, field="alias", known=["production", "best", "…"])


def _running_runs(workspace: Workspace) -> InUse:
    """What runs in the workspace now, by what its request takes in."""

    def users(reference: str) -> list[str]:
        found = []
        for run in run_folders(workspace):
            if run.is_locked() and reference in {item.ref for item in run.request().inputs}:
                found.append(run.path.name)
        return found

    return users
