"""What happens to an import, as lines of the catalogue's history: streams and webhooks tell them."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from mozhu.platform.catalog import events, rows
from mozhu.platform.catalog.events import Happening
from mozhu.platform.database.tables_imports import ImportRow

OF_STATE = {
    "uploading": events.IMPORT_UPLOADING,
    "checking": events.IMPORT_CHECKING,
    "ready": events.IMPORT_READY,
    "failed": events.IMPORT_FAILED,
}
REMOVED = events.IMPORT_REMOVED


def tell(session: Session, row: ImportRow, what: str, time: str, **details: Any) -> None:
    """``what`` happened to the version that ``row`` is to become."""
    told = {"import": row.id, "upload": row.upload, "owner": row.owner, **details}
    rows.add_history(session, [Happening(what, row.model, row.version, told)], time)
