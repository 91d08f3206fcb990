"""Imports: uploads on their way to becoming versions, with the names that they reserve."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text as sql

from mozhu.platform.database.columns import BIG

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "imports",
        sa.Column("id", sa.String(40), nullable=False),
        *(sa.Column(name, sa.String(200), nullable=False) for name in ("owner", "team")),
        sa.Column("upload", sa.String(40), nullable=False),
        *(sa.Column(name, sa.String(200), nullable=False) for name in ("model", "version")),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("waits", sa.Boolean, nullable=False),
        *(sa.Column(name, sa.JSON, nullable=False) for name in ("wishes", "findings", "recognised")),
        sa.Column("run", sa.String(200), nullable=False),
        sa.Column("attempts", BIG, nullable=False),
        *(sa.Column(name, sa.String(24), nullable=False) for name in ("created", "updated")),
        sa.Column("finished", sa.String(24), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
    )
    for columns in (("created", "id"), ("owner", "created"), ("model", "state"), ("state", "created")):
        op.create_index(f"ix_imports_{'_'.join(columns)}", "imports", list(columns))
    is_open = sql("state IN ('uploading', 'checking')")
    op.create_index(
        "ix_imports_reserved",
        "imports",
        ["model", "version"],
        unique=True,
        sqlite_where=is_open,
        postgresql_where=is_open,
    )
