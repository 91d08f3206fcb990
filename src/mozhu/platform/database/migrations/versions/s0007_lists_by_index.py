"""Lists of one owner, of what somebody may read and of the trash are led to by indexes."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text as sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("ix_models_owner_updated_id", "models", ["owner", "updated", "id"])
    op.create_index("ix_models_visibility_team", "models", ["visibility", "team"])
    in_trash = sql("trashed IS NOT NULL")
    op.create_index(
        "ix_models_in_trash", "models", ["updated", "id"], sqlite_where=in_trash, postgresql_where=in_trash
    )
