"""Who may do what with a model or a data set: one condition for every list, one question for every change."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, or_, select, true
from sqlalchemy.orm import Session

from mozhu.kernel.errors import NotAllowed, UnknownReference
from mozhu.platform.accounts.subject import RIGHTS, Right, Subject, includes
from mozhu.platform.catalog.events import OF_DATASET, OF_IMPORT, OF_MODEL
from mozhu.platform.catalog.kinds import DATASET, MODEL, Kind
from mozhu.platform.database.tables import LOCAL, Dataset, History, Model, Version
from mozhu.platform.database.tables_assets import VersionFile

_NEAR_NAMES = 1000


def readable(subject: Subject, kind: Kind = MODEL) -> ColumnElement[bool]:
    """What ``subject`` may read of a kind: their own, their team's, everyone's, and what is shared with them."""
    return true() if subject.is_admin else readable_by(kind, subject.user, subject.teams, subject.names)


def readable_by(kind: Kind, user: Any, teams: Sequence[Any], names: Sequence[Any]) -> ColumnElement[bool]:
    """The same of who is no administrator; the values may be places for them (``bindparam``)."""
    table, share = kind.table, kind.share
    shared = select(kind.of(share)).where(one_of(share.subject, names))
    return or_(
        table.owner == user,
        and_(table.visibility == "team", one_of(table.team, teams)),
        table.visibility == "everyone",
        table.id.in_(shared),
    )


def one_of(column: Any, values: Sequence[Any]) -> ColumnElement[bool]:
    """``column`` is one of ``values``, of which there may be none."""
    found: ColumnElement[bool] = column.in_(values) if values else false()
    return found


def right_of(session: Session, subject: Subject, asset: Any, kind: Kind = MODEL) -> Right | None:
    """The highest right that ``subject`` has; who only sees it because of its team or of everyone may use it."""
    if subject.is_admin or asset.owner == subject.user:
        return "manage"
    share = kind.share
    query = select(share.right).where(kind.of(share) == asset.id, share.subject.in_(subject.names))
    held = [right for right in RIGHTS if right in set(session.scalars(query))]
    seen = asset.visibility == "everyone" or (asset.visibility == "team" and asset.team in subject.teams)
    if seen and "use" not in held:
        held.append("use")
    return max(held, key=RIGHTS.index) if held else None


def may(session: Session, subject: Subject, asset: Any, wanted: Right, kind: Kind = MODEL) -> bool:
    held = right_of(session, subject, asset, kind)
    return held is not None and includes(held, wanted)


def demand(session: Session, subject: Subject, asset: Any, wanted: Right, kind: Kind = MODEL) -> None:
    """Go on only where ``subject`` may; who may not even read it learns nothing of it.

    Raises:
        UnknownReference: REG-001. UnknownDatasetVersion: REG-013. NotAllowed: REG-023.
    """
    if not may(session, subject, asset, "read", kind):
        raise kind.unknown(asset.name, [])
    if not may(session, subject, asset, wanted, kind):
        raise NotAllowed(user=subject.user, name=asset.name, right=wanted, owner=asset.owner)


def demand_readable(session: Session, subject: Subject, name: str, reference: str) -> None:
    """Go on only where ``subject`` may read the model ``name``; else it is as if there were none.

    Raises:
        UnknownReference: REG-001, also where there is no such model.
    """
    if subject.is_admin:
        return
    query = select(Model.id).where(Model.name == name, readable(subject))
    if session.scalar(query) is None:
        raise UnknownReference(reference=reference, known=[])


def demand_administrator(subject: Subject, what: str) -> None:
    """Go on only for who administers the installation.

    Raises:
        NotAllowed: REG-023.
    """
    if not subject.is_admin:
        raise NotAllowed(user=subject.user, name=what, right="manage", owner=LOCAL)


def readable_datasets(subject: Subject) -> ColumnElement[bool]:
    """The data sets that ``subject`` may read."""
    return readable(subject, DATASET)


def readable_history(subject: Subject) -> ColumnElement[bool]:
    """What happened to that which ``subject`` may read; of the whole catalogue only administrators are told."""
    if subject.is_admin:
        return true()
    models = select(Model.name).where(readable(subject))
    datasets = select(Dataset.name).where(readable_datasets(subject))
    # An import tells its owner how far it is before there is a model.
    importing = and_(History.what.startswith(OF_IMPORT), History.details["owner"].as_string() == subject.user)
    return or_(
        importing,
        and_(History.subject == OF_MODEL, History.model.in_(models)),
        and_(History.subject == OF_DATASET, History.model.in_(datasets)),
    )


def may_read_content(session: Session, subject: Subject, digest: str) -> bool:
    """Whether a version that ``subject`` may read has a file of the content ``digest``."""
    holding = select(VersionFile.sha256).join(Version, Version.id == VersionFile.version_id)
    holding = holding.join(Model, Model.id == Version.model_id)
    return bool(
        session.scalar(select(exists(holding.where(VersionFile.sha256 == digest, readable(subject)))))
    )


def near_names(session: Session, kind: Kind, wanted: str, subject: Subject) -> list[str]:
    """Names like ``wanted`` that ``subject`` may be told; some that there are where none is like it.

    In a registry of many only names that begin alike are looked at, so that a wrong name is no costly one.
    """
    table = kind.table
    query = select(table.name).where(table.trashed.is_(None), readable(subject, kind))
    query = query.order_by(table.name).limit(_NEAR_NAMES)
    names = list(session.scalars(query))
    if len(names) == _NEAR_NAMES:
        names = list(session.scalars(query.where(table.name >= wanted[:2]))) or names
    return get_close_matches(wanted, names, 5, 0.5) or names[:5]
