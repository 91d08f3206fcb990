"""Who may do what with a model: one condition for every list, one question for every change."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_, select, true
from sqlalchemy.orm import Session

from mozhu.kernel.errors import NotAllowed, UnknownReference
from mozhu.platform.accounts.subject import RIGHTS, Right, Subject, includes
from mozhu.platform.database.tables import Model
from mozhu.platform.database.tables_assets import Share


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
