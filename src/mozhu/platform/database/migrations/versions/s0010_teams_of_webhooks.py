"""A webhook knows the teams of its owner, so that it tells what they may read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("webhooks", sa.Column("teams", sa.JSON(), nullable=False, server_default="[]"))
