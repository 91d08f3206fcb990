"""Who may do what with a model: one condition for every list, one question for every change."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, exists, or_, select, true
from sqlalchemy.orm import Session

from mozhu.kernel.errors import NotAllowed, UnknownReference
from mozhu.platform.accounts.subject import RIGHTS, Right, Subject, includes
from mozhu.platform.catalog.events import OF_DATASET, OF_MODEL
from mozhu.platform.database.tables import LOCAL, Dataset, History, Model, Version
from mozhu.platform.database.tables_assets import Share, VersionFile


def readable(subject: Subject) -> ColumnElement[bool]:
    """The models that ``subject`` may read: their own, their team's, everyone's, and those shared with them."""
    if subject.is_admin:
        return true()
    shared = select(Share.model_id).where(Share.subject.in_(subject.names))
    return or_(
        Model.owner == subject.user,
        and_(Model.visibility == "team", Model.team.in_(subject.teams)),
        Model.visibility == "everyone",
        Model.id.in_(shared),
    )


def right_of(session: Session, subject: Subject, model: Model) -> Right | None:
    """The highest right that ``subject`` has; who only sees a model because of its team or of everyone may use it."""
    if subject.is_admin or model.owner == subject.user:
        return "manage"
    query = select(Share.right).where(Share.model_id == model.id, Share.subject.in_(subject.names))
    held = [right for right in RIGHTS if right in set(session.scalars(query))]
    seen = model.visibility == "everyone" or (model.visibility == "team" and model.team in subject.teams)
    if seen and "use" not in held:
        held.append("use")
    return max(held, key=RIGHTS.index) if held else None


def may(session: Session, subject: Subject, model: Model, wanted: Right) -> bool:
    held = right_of(session, subject, model)
    return held is not None and includes(held, wanted)


def demand(session: Session, subject: Subject, model: Model, wanted: Right) -> None:
    """Go on only where ``subject`` may; who may not even read it learns nothing of the model.

    Raises:
        UnknownReference: REG-001. NotAllowed: REG-023.
    """
    if not may(session, subject, model, "read"):
        raise UnknownReference(reference=model.name, known=[])
    if not may(session, subject, model, wanted):
        raise NotAllowed(user=subject.user, name=model.name, right=wanted, owner=model.owner)


def demand_readable(
    session: Session, subject: Subject, name: str, reference: str, owner: str = LOCAL
) -> None:
    """Go on only where ``subject`` may read the model ``name``; else it is as if there were none.

    Raises:
        UnknownReference: REG-001, also where there is no such model.
    """
    if subject.is_admin:
        return
    query = select(Model.id).where(Model.owner == owner, Model.name == name, readable(subject))
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
    """The data sets that ``subject`` may read: their own and their teams'."""
    if subject.is_admin:
        return true()
    return or_(Dataset.owner == subject.user, Dataset.team.in_(subject.teams))


def readable_history(subject: Subject) -> ColumnElement[bool]:
    """What happened to that which ``subject`` may read; of the whole catalogue only administrators are told."""
    if subject.is_admin:
        return true()
    models = select(Model.name).where(readable(subject))
    datasets = select(Dataset.name).where(readable_datasets(subject))
    return or_(
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
