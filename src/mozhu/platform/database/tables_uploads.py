"""The tables of contents and uploads: which blobs there are, what is being sent, which parts are here."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from mozhu.platform.database.tables import Table


class BlobRow(Table):
    """Content that is in the store, and was read back whole at ``verified``."""

    __tablename__ = "blobs"

    sha256: Mapped[str] = mapped_column(String(71), primary_key=True)
    size: Mapped[int]
    created: Mapped[str] = mapped_column(String(24))
    verified: Mapped[str] = mapped_column(String(24))


class UploadRow(Table):
    """``plan`` holds the files in their order; ``place`` what the room of parts needs to find them again."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    owner: Mapped[str] = mapped_column(String(200))
    team: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    purpose: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any]]
    place: Mapped[dict[str, Any]]
    part_size: Mapped[int]
    size_bytes: Mapped[int]
    created: Mapped[str] = mapped_column(String(24))
    expires: Mapped[str] = mapped_column(String(24))
    ended: Mapped[str | None] = mapped_column(String(24))

    __table_args__ = (
        Index("ix_uploads_owner_state", "owner", "state"),
        Index("ix_uploads_state_expires", "state", "expires"),
    )


class UploadPartRow(Table):
    """A part that is durable; ``mark`` finds it in the room of parts."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(71))
    mark: Mapped[str] = mapped_column(String(200))
    received: Mapped[str] = mapped_column(String(24))
