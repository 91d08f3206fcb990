"""Contents by their hashes, uploads and the parts that have come."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mozhu.platform.database.columns import BIG

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "blobs",
        sa.Column("sha256", sa.String(71), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("created", sa.String(24), nullable=False),
        sa.Column("verified", sa.String(24), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name="pk_blobs"),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("team", sa.String(200), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("purpose", sa.JSON, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.Column("place", sa.JSON, nullable=False),
        sa.Column("part_size", BIG, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("created", sa.String(24), nullable=False),
        sa.Column("expires", sa.String(24), nullable=False),
        sa.Column("ended", sa.String(24), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
    )
    op.create_index("ix_uploads_owner_state", "uploads", ["owner", "state"])
    op.create_index("ix_uploads_state_expires", "uploads", ["state", "expires"])
    op.create_table(
        "upload_parts",
        sa.Column("upload_id", sa.String(40), nullable=False),
        sa.Column("number", BIG, nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("sha256", sa.String(71), nullable=False),
        sa.Column("mark", sa.String(200), nullable=False),
        sa.Column("received", sa.String(24), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "number", name="pk_upload_parts"),
        sa.ForeignKeyConstraint(
            ["upload_id"], ["uploads.id"], name="fk_upload_parts_upload_id", ondelete="CASCADE"
        ),
    )
