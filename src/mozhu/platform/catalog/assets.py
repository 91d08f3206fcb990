"""Models and data sets as people keep them: found, described, shared, named by aliases, put away and taken back.

Every function asks first what its subject may do. Who may not read a thing learns nothing of it (REG-001, REG-013).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    BadValue,
    InTrash,
    LastVersion,
    NotInTrash,
    ProtectedAlias,
    UnknownAlias,
    VersionInUse,
)
from mozhu.kernel.files import sha256_json
from mozhu.kernel.paths import Workspace, check_name, next_version
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.accounts.subject import LOCAL_ADMIN, RIGHTS, VISIBILITIES, Right, Subject
from mozhu.platform.catalog import changes, events, rows, searching
from mozhu.platform.catalog.access import demand, demand_administrator, near_names, readable
from mozhu.platform.catalog.cards import card_of, card_path, recount, write_card
from mozhu.platform.catalog.kinds import Kind
from mozhu.platform.catalog.references import LATEST, parse_reference
from mozhu.platform.catalog.room import CatalogueRoom
from mozhu.platform.catalog.searching import Counts
from mozhu.platform.catalog.words import reindex
from mozhu.platform.database.engine import Database
from mozhu.platform.storage.blobs import BlobStore
from mozhu.workspace.runs import run_folders

TYPES = ("text", "image", "file")
_LONGEST_TAG = 200
# A port: a reference (``name:v2``) -> the names of what runs with it.
InUse = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class AliasView:
    name: str
    reference: str
    protected: bool


class AssetRoom(CatalogueRoom):
    """A service of one kind of things, which it reads and changes for who may."""

    kind: ClassVar[Kind]

    @contextmanager
    def _seeing(self, reference: str, subject: Subject) -> Iterator[tuple[Session, Any]]:
        database = self._existing()
        if database is None:
            raise self.kind.unknown(reference, [])
        with database.reading() as session:
            yield session, _asset(session, self.kind, reference, subject)

    @contextmanager
    def _changing(
        self,
        reference: str,
        subject: Subject,
        right: Right,
        *,
        keep: bool = True,
        trashed: bool = False,
    ) -> Iterator[Change]:
        """The model or data set of ``reference``, for who has ``right`` on it; its card follows the rows."""
        if self._existing() is None:
            raise self.kind.unknown(reference, [])
        with self._opened().writing(keep=keep) as session:
            asset = _asset(session, self.kind, reference, subject)
            demand(session, subject, asset, right, self.kind)
            if asset.trashed is not None and not trashed:
                raise InTrash(reference=asset.name, group=self.kind.group)
            yield Change(session, self.kind, asset, iso_time(self._clock()), subject)
            if keep:
                write_card(self.models, session, asset, self.kind)


class Assets(AssetRoom):
    """Args as ``CatalogueRoom``; ``in_use`` says who uses a version, without it the workspace's running runs."""

    def __init__(
        self,
        root: Path,
        *,
        database: Database | Path | str | None = None,
        store: BlobStore | None = None,
        clock: Callable[[], datetime] = utc_now,
        in_use: InUse | None = None,
    ) -> None:
        super().__init__(root, database=database, store=store, clock=clock)
        self._in_use = in_use or _running_runs(Workspace(Path(root).absolute()))

    def counts(self, *, subject: Subject = LOCAL_ADMIN) -> Counts:
        """The statistics cards, as of now."""
        database = self._existing()
        if database is None:
            return Counts(0, 0, 0, {}, 0)
        with database.reading() as session:
            return searching.counts(session, subject, self.kind)

    def edit(
        self,
        name: str,
        *,
        subject: Subject = LOCAL_ADMIN,
        before: Callable[[], None] = lambda: None,
        **fields: str,
    ) -> None:
        """Set ``description``, ``licence``, ``visibility``, of a model also ``type`` and ``base_reference``.

        Args:
            before: Is called while nobody else can write; what it raises leaves all as it was.

        Raises:
            UnknownReference: REG-001. UnknownDatasetVersion: REG-013. NotAllowed: REG-023. BadValue: REG-025.
        """
        for field, known in (("type", TYPES), ("visibility", VISIBILITIES)):
            if field in fields and fields[field] not in known:
                raise BadValue(value=fields[field], field=field, known=list(known))
        with self._changing(name, subject, "manage" if "visibility" in fields else "write") as change:
            before()
            for field in self.kind.editable:
                if field in fields:
                    setattr(change.asset, field, fields[field])
            reindex(change.session, self.kind, change.asset)
            change.tell(self.kind.event("edited"), details=dict(fields))

    def set_notes(
        self,
        reference: str,
        notes: str,
        *,
        subject: Subject = LOCAL_ADMIN,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """The note of a version; ``before`` as for :meth:`edit`."""
        with self._changing(reference, subject, "write") as change:
            before()
            change.version(reference).notes = notes
            change.session.flush()
            reindex(change.session, self.kind, change.asset)
            change.tell(self.kind.event("edited"), reference, {"notes": notes})

    def set_tags(
        self,
        reference: str,
        tags: Sequence[str],
        *,
        subject: Subject = LOCAL_ADMIN,
        before: Callable[[], None] = lambda: None,
    ) -> None:
        """The tags of a version, in this order; ``before`` as for :meth:`edit`.

        Raises:
            BadValue: REG-025, an empty tag or one of more than 200 characters.
        """
        wrong = [tag for tag in tags if not 0 < len(tag.strip()) <= _LONGEST_TAG]
        if wrong:
            raise BadValue(value=wrong[0][:80], field="tags", known=[f"1-{_LONGEST_TAG}"])
        with self._changing(reference, subject, "write") as change:
            before()
            version = change.version(reference)
            version.tags = self.kind.tags(tag.strip() for tag in tags)
            change.session.flush()
            reindex(change.session, self.kind, change.asset)
            write_card(self.models, change.session, change.asset, self.kind, tagged=[version.label])
            change.tell(self.kind.event("edited"), reference, {"tags": list(tags)})

    def delete(
        self,
        reference: str,
        *,
        subject: Subject = LOCAL_ADMIN,
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
        with self._changing(reference, subject, "manage", keep=keep) as change:
            whole = label_of(reference) is None
            versions = change.here() if whole else [change.version(reference)]
            names = tuple(f"{change.asset.name}:{version.label}" for version in versions)
            if force != reference:
                self._demand_unused(change, reference, names)
            now = iso_time(self._clock())
            if whole:
                change.asset.trashed, change.asset.trashed_by = now, subject.user
                change.tell(self.kind.event("trashed"), details={"versions": list(names)})
            elif changes.trash_version(change.session, self.kind, versions[0], now, subject.user):
                recount(change.session, change.asset, self.kind)
                change.tell(events.VERSION_TRASHED, reference)
            else:
                raise LastVersion(reference=reference, name=change.asset.name, group=self.kind.group)
        return names

    def restore(self, reference: str, *, subject: Subject = LOCAL_ADMIN, keep: bool = True) -> None:
        """Take a model or a version out of the trash.

        Raises:
            NotInTrash: REG-021. InTrash: REG-020, the version's model is there too. UnknownReference: REG-001.
        """
        with self._changing(reference, subject, "manage", keep=keep, trashed=True) as change:
            if label_of(reference) is None:
                if change.asset.trashed is None:
                    raise NotInTrash(reference=reference, group=self.kind.group)
                change.asset.trashed, change.asset.trashed_by = None, ""
                change.tell(self.kind.event("restored"))
                return
            if change.asset.trashed is not None:
                raise InTrash(reference=change.asset.name, group=self.kind.group)
            version = change.version(reference, trashed=True)
            if version.trashed is None:
                raise NotInTrash(reference=reference, group=self.kind.group)
            changes.restore_version(change.session, version)
            recount(change.session, change.asset, self.kind)
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
        table, version = self.kind.table, self.kind.version
        with changes.taking_away(self.models) as take, database.writing(keep=keep) as session:
            whole = list(session.scalars(select(table).where(table.trashed <= before)))
            single = select(version).join(table).where(version.trashed <= before, table.trashed.is_(None))
            gone = [(asset, each) for asset in whole for each in asset.versions]
            gone += [(self._asset_of(session, each), each) for each in session.scalars(single)]
            names = tuple(sorted(f"{asset.name}:{each.label}" for asset, each in gone))
            for _, each in gone if keep else ():
                take(self.models / each.path)
            self._forget(session, gone, whole, keep=keep)
        return names

    def _asset_of(self, session: Session, version: Any) -> Any:
        return session.get(self.kind.table, getattr(version, self.kind.parent))

    def _forget(self, session: Session, gone: list[tuple[Any, Any]], whole: list[Any], *, keep: bool) -> None:
        """``gone``: versions, each with what it is a version of; ``whole``: what goes with all of its own."""
        kind, now = self.kind, iso_time(self._clock())
        for asset, version in gone:
            happening = events.Happening(kind.event("purged"), asset.name, version.label, {}, kind.name)
            rows.add_history(session, [happening], now)
        touched = {asset for asset, _ in gone} - set(whole)
        for asset, version in gone:
            if asset in touched:
                changes.forget_version(session, version)
        for asset in whole:
            if keep:
                card_path(self.models, asset.owner, asset.name, kind).unlink(missing_ok=True)
            changes.forget_asset(session, kind, asset)
        for asset in touched:
            session.expire(asset)
            recount(session, asset, kind)
            reindex(session, kind, asset)
            if keep:
                write_card(self.models, session, asset, kind)

    def aliases(self, name: str, *, subject: Subject = LOCAL_ADMIN) -> tuple[AliasView, ...]:
        with self._seeing(name, subject) as (session, asset):
            return _aliases(session, self.kind, asset)

    def set_alias(
        self,
        reference: str,
        alias: str,
        *,
        protected: bool | None = None,
        force: bool = False,
        subject: Subject = LOCAL_ADMIN,
        keep: bool = True,
    ) -> tuple[AliasView, ...]:
        """``name@alias`` is the version ``reference`` from now on; returns all aliases there are then.

        A protected alias moves only with ``force`` and for who may manage it; so does its protection.

        Raises:
            ProtectedAlias: REG-022. UnknownReference: REG-001. NotAllowed: REG-023. BadName: FILE-008.
        """
        _check_alias(alias)
        with self._changing(reference, subject, "write", keep=keep) as change:
            version = change.version(reference)
            there = change.alias(alias)
            if protected is not None or (there is not None and there.protected):
                demand(change.session, subject, change.asset, "manage", self.kind)
            moves = there is not None and (there.version_id != version.id or protected is False)
            if there is not None and there.protected and moves and not force:
                change.refuse_alias(there)
            if there is None:
                key = self.kind.key(change.asset)
                there = self.kind.alias(**key, name=alias, version_id=version.id, protected=False)
                change.session.add(there)
            there.version_id = version.id
            there.protected = there.protected if protected is None else protected
            change.tell(events.ALIAS_SET, reference, {"alias": alias})
            change.session.flush()
            return _aliases(change.session, self.kind, change.asset)

    def remove_alias(
        self,
        name: str,
        alias: str,
        *,
        force: bool = False,
        subject: Subject = LOCAL_ADMIN,
        keep: bool = True,
    ) -> tuple[AliasView, ...]:
        """The aliases that there are then.

        Raises:
            UnknownAlias: REG-024. ProtectedAlias: REG-022, without ``force``.
        """
        with self._changing(name, subject, "write", keep=keep) as change:
            there = change.alias(alias)
            if there is None:
                table = self.kind.alias
                query = select(table.name).where(self.kind.of(table) == change.asset.id)
                known = change.session.scalars(query)
                raise UnknownAlias(
                    name=change.asset.name, alias=alias, known=sorted(known) or ["-"], group=self.kind.group
                )
            if there.protected:
                demand(change.session, subject, change.asset, "manage", self.kind)
                if not force:
                    change.refuse_alias(there)
            change.session.delete(there)
            change.tell(events.ALIAS_REMOVED, details={"alias": alias})
            change.session.flush()
            return _aliases(change.session, self.kind, change.asset)

    def share(
        self,
        name: str,
        with_whom: str,
        right: Right | None,
        *,
        subject: Subject = LOCAL_ADMIN,
    ) -> None:
        """``user:ann`` or ``team:vision`` has ``right`` on it; ``None`` takes it back."""
        if right is not None and right not in RIGHTS:
            raise BadValue(value=right, field="right", known=list(RIGHTS))
        if with_whom.partition(":")[0] not in ("user", "team") or not with_whom.partition(":")[2]:
            raise BadValue(value=with_whom, field="with", known=["user:NAME", "team:NAME"])
        with self._changing(name, subject, "manage") as change:
            share = self.kind.share
            there = change.session.get(share, (with_whom, change.asset.id))
            if right is None:
                change.session.delete(there) if there is not None else None
            elif there is None:
                change.session.add(share(subject=with_whom, right=right, **self.kind.key(change.asset)))
            else:
                there.right = right
            change.tell(self.kind.event("shared"), details={"with": with_whom, "right": right})

    def shares(self, name: str, *, subject: Subject = LOCAL_ADMIN) -> tuple[tuple[str, str], ...]:
        """Who it is shared with (``user:ann``, ``team:vision``) and their rights, for who may manage it.

        Raises:
            UnknownReference: REG-001. NotAllowed: REG-023.
        """
        share = self.kind.share
        with self._seeing(name, subject) as (session, asset):
            demand(session, subject, asset, "manage", self.kind)
            query = select(share.subject, share.right).where(self.kind.of(share) == asset.id)
            return tuple((row[0], row[1]) for row in session.execute(query.order_by(share.subject)))

    def rate(self, name: str, stars: int, comment: str = "", *, subject: Subject = LOCAL_ADMIN) -> None:
        """What ``subject`` thinks of what they may use, 1 to 5; a second time replaces the first."""
        if not 1 <= stars <= 5:
            raise BadValue(value=str(stars), field="stars", known=["1", "2", "3", "4", "5"])
        with self._changing(name, subject, "use") as change:
            now = iso_time(self._clock())
            rating = self.kind.rating(
                **self.kind.key(change.asset), user=subject.user, stars=stars, comment=comment, time=now
            )
            change.session.merge(rating)

    def rating(self, name: str, *, subject: Subject = LOCAL_ADMIN) -> tuple[float | None, int]:
        """The mean of the stars and how many gave them."""
        rating = self.kind.rating
        with self._seeing(name, subject) as (session, asset):
            query = select(func.avg(rating.stars), func.count()).where(self.kind.of(rating) == asset.id)
            mean, count = session.execute(query).one()
            return (float(mean) if count else None), count

    def suggest(self, name: str, *, subject: Subject = LOCAL_ADMIN) -> str:
        """The version name that would follow, which is not in use, in the trash neither.

        Of a name that ``subject`` may not read it is the first one, as of a name that nobody has.
        """
        database = self._existing()
        labels: list[str] = []
        if database is not None:
            with database.reading() as session:
                asset = _find(session, self.kind, name, subject)
                labels = _labels(session, self.kind, asset) if asset is not None else []
        label = next_version(labels[0] if labels else None)
        while label in labels:
            label = next_version(label)
        return label

    def cards_fingerprint(self) -> str:
        """``sha256:…`` of every card; equal after a rescan of an unchanged tree."""
        database = self._existing()
        if database is None:
            return sha256_json([])
        table = self.kind.table
        with database.reading() as session:
            found = session.scalars(select(table).order_by(table.owner, table.name))
            return sha256_json([card_of(session, asset, self.kind).to_json() for asset in found])

    def _users(self, session: Session, subject: Subject, reference: str) -> Sequence[str]:
        """What uses the version ``reference`` now."""
        return self._in_use(reference)

    def _demand_unused(self, change: Change, reference: str, names: Sequence[str]) -> None:
        users = {user for name in names for user in self._users(change.session, change.subject, name)}
        if users:
            raise VersionInUse(reference=reference, users=sorted(users), group=self.kind.group)


@dataclass(frozen=True)
class Change:
    """One change of ``asset`` by ``subject`` at ``now``."""

    session: Session
    kind: Kind
    asset: Any
    now: str
    subject: Subject

    def here(self) -> list[Any]:
        return list(self.session.scalars(self._here().order_by(self.kind.version.seq)))

    def newest(self, count: int) -> list[Any]:
        query = self._here().order_by(self.kind.version.seq.desc()).limit(count)
        return list(self.session.scalars(query))

    def version(self, reference: str, *, trashed: bool = False) -> Any:
        """The version named, the newest where only its name is; one in the trash only where that is asked for."""
        label = label_of(reference)
        if label is None or label == f"@{LATEST}":
            return self.newest(1)[0]
        if label.startswith("@"):
            alias = self.alias(label[1:])
            found = self.session.get(self.kind.version, alias.version_id) if alias else None
        else:
            found = changes.version_named(self.session, self.kind, self.asset, label)
        if found is None or (found.trashed and not trashed):
            known = [f"{self.asset.name}:{version.label}" for version in self.newest(5)]
            raise self.kind.unknown(reference, known)
        return found

    def alias(self, name: str) -> Any:
        return self.session.get(self.kind.alias, (self.asset.id, name))

    def refuse_alias(self, alias: Any) -> None:
        version = self.kind.version
        label = self.session.scalar(select(version.label).where(version.id == alias.version_id))
        raise ProtectedAlias(name=self.asset.name, alias=alias.name, version=label, group=self.kind.group)

    def tell(self, what: str, reference: str = "", details: dict[str, Any] | None = None) -> None:
        label = (label_of(reference) or "").lstrip("@")
        told = {"by": self.subject.user, **(details or {})}
        happening = events.Happening(what, self.asset.name, label, told, self.kind.name)
        rows.add_history(self.session, [happening], self.now)

    def _here(self) -> Any:
        version = self.kind.version
        return select(version).where(self.kind.of(version) == self.asset.id, version.trashed.is_(None))


def _find(session: Session, kind: Kind, name: str, subject: Subject) -> Any:
    """The row of what bears ``name``, in the trash too; ``None`` where ``subject`` may not read it either."""
    return session.scalar(select(kind.table).where(kind.table.name == name, readable(subject, kind)))


def _asset(session: Session, kind: Kind, reference: str, subject: Subject) -> Any:
    parsed = parse_reference(reference)
    name = parsed.name if parsed else reference
    found = _find(session, kind, name, subject)
    if found is None:
        raise kind.unknown(reference, near_names(session, kind, name, subject))
    return found


def _aliases(session: Session, kind: Kind, asset: Any) -> tuple[AliasView, ...]:
    alias, version = kind.alias, kind.version
    query = select(alias, version.label).join(version, version.id == alias.version_id)
    query = query.where(kind.of(alias) == asset.id).order_by(alias.name)
    return tuple(
        AliasView(one.name, f"{asset.name}:{label}", one.protected) for one, label in session.execute(query)
    )


def _labels(session: Session, kind: Kind, asset: Any) -> list[str]:
    """The names of all versions, newest first; those in the trash keep theirs."""
    version = kind.version
    query = select(version.label).where(kind.of(version) == asset.id).order_by(version.seq.desc())
    return list(session.scalars(query))


def label_of(reference: str) -> str | None:
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
