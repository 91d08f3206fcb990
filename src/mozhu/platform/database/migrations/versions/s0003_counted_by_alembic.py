"""From here on Alembic counts the steps; releases before it are told that this database is too new for them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mozhu.kernel.progress import iso_time, utc_now

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    table = sa.table("schema_version", sa.column("version", sa.Integer), sa.column("applied", sa.String))
    op.execute(table.insert().values(version=3, applied=iso_time(utc_now())))
