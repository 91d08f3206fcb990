"""Data sets, their versions and tags; a line of the history says whether it is about a model or a data set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mozhu.platform.database.columns import BIG

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    subject = sa.Column("subject", sa.String(20), nullable=False, server_default="model")
    op.add_column("history", subject)
    op.create_table(
        "datasets",
        sa.Column("id", BIG, nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("team", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("updated", sa.String, nullable=False),
        sa.Column("version_count", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_datasets"),
        sa.UniqueConstraint("owner", "name", name="uq_datasets_owner_name"),
    )
    op.create_index("ix_datasets_updated_id", "datasets", ["updated", "id"])
    _versions()
    op.create_table(
        "dataset_tags",
        sa.Column("tag", sa.String(200), nullable=False),
        sa.Column("version_id", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.PrimaryKeyConstraint("tag", "version_id", name="pk_dataset_tags"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["dataset_versions.id"], name="fk_dataset_tags_version_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_dataset_tags_version_id", "dataset_tags", ["version_id"])


def _versions() -> None:
    op.create_table(
        "dataset_versions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("dataset_id", BIG, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("description", sa.String, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("row_count", BIG, nullable=False),
        sa.Column("rejected_count", BIG, nullable=False),
        sa.Column("parts", sa.JSON, nullable=False),
        sa.Column("content", sa.String(80), nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("registered", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dataset_versions"),
        sa.UniqueConstraint("dataset_id", "seq", name="uq_dataset_versions_dataset_id_seq"),
        sa.UniqueConstraint("dataset_id", "label", name="uq_dataset_versions_dataset_id_label"),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name="fk_dataset_versions_dataset_id", ondelete="CASCADE"
        ),
    )
    for columns in (["content"], ["path"], ["state"], ["registered", "id"]):
        op.create_index(f"ix_dataset_versions_{'_'.join(columns)}", "dataset_versions", columns)
