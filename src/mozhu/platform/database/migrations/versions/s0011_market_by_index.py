"""What everyone may read is listed in its order by an index."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for table in ("models", "datasets"):
        op.create_index(f"ix_{table}_visibility_updated_id", table, ["visibility", "updated", "id"])
