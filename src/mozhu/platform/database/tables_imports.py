"""The table of imports: uploads on their way to becoming versions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Index, String
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from mozhu.platform.database.tables import Table

# While an import is in one of these its version's name is taken and the contents of its upload are needed.
OPEN_STATES = ("uploading", "checking")
_OPEN = "state IN ('uploading', 'checking')"


class ImportRow(Table):
    """``wishes`` is what was asked for, ``recognised`` what it was found to be, ``run`` the name of its run folder.

    ``waits``: it goes on when somebody asks for it again. ``attempts`` counts the processes that were started.
    """

    __tablename__ = "imports"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    team: Mapped[str] = mapped_column(String(200))
    upload: Mapped[str] = mapped_column(String(40))
    model: Mapped[str] = mapped_column(String(200))
    version: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    waits: Mapped[bool]
    wishes: Mapped[dict[str, Any]]
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    recognised: Mapped[dict[str, Any]]
    run: Mapped[str] = mapped_column(String(200))
    attempts: Mapped[int]
    created: Mapped[str] = mapped_column(String(24))
    updated: Mapped[str] = mapped_column(String(24))
    finished: Mapped[str | None] = mapped_column(String(24))

    __table_args__ = (
        Index("ix_imports_created_id", "created", "id"),
        Index("ix_imports_owner_created", "owner", "created"),
        Index("ix_imports_model_state", "model", "state"),
        Index("ix_imports_state_created", "state", "created"),
        Index(
            "ix_imports_reserved",
            "model",
            "version",
            unique=True,
            sqlite_where=sql(_OPEN),
            postgresql_where=sql(_OPEN),
        ),
    )
