"""The tables of the first release: models, versions, tags, history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from mozhu.platform.database.columns import BIG

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "schema_version",
        sa.Column("version", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("applied", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_schema_version"),
    )
    _models()
    _versions()
    op.create_table(
        "history",
        sa.Column("id", BIG, nullable=False),
        sa.Column("time", sa.String, nullable=False),
        sa.Column("what", sa.String(60), nullable=False),
        sa.Column("model", sa.String(200), nullable=False),
        sa.Column("version", sa.String(200), nullable=False),
        sa.Column("details", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_history"),
    )
    op.create_index("ix_history_model_version", "history", ["model", "version"])


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("id", BIG, nullable=False),
        sa.Column("owner", sa.String(200), nullable=False),
        sa.Column("team", sa.String(200), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("updated", sa.String, nullable=False),
        sa.Column("version_count", BIG, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_models"),
        sa.UniqueConstraint("owner", "name", name="uq_models_owner_name"),
    )
    op.create_index("ix_models_updated_id", "models", ["updated", "id"])


def _versions() -> None:
    op.create_table(
        "versions",
        sa.Column("id", BIG, nullable=False),
        sa.Column("model_id", BIG, nullable=False),
        sa.Column("seq", BIG, nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("model_type", sa.String(20), nullable=False),
        *(sa.Column(name, sa.String, nullable=False) for name in ("base_model", "task", "description")),
        sa.Column("training_dataset", sa.String, nullable=False),
        sa.Column("training_steps", BIG, nullable=False),
        sa.Column("performance", sa.JSON, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("size_bytes", BIG, nullable=False),
        sa.Column("checksum", sa.String(80), nullable=False),
        sa.Column("certified", sa.Boolean, nullable=False),
        sa.Column("created", sa.String, nullable=False),
        sa.Column("registered", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_versions"),
        sa.UniqueConstraint("model_id", "seq", name="uq_versions_model_id_seq"),
        sa.UniqueConstraint("model_id", "label", name="uq_versions_model_id_label"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name="fk_versions_model_id", ondelete="CASCADE"),
    )
    op.create_index("ix_versions_checksum", "versions", ["checksum"])
    op.create_index("ix_versions_path", "versions", ["path"])
    op.create_index("ix_versions_registered_id", "versions", ["registered", "id"])
    op.create_table(
        "tags",
        sa.Column("tag", sa.String(200), nullable=False),
        sa.Column("version_id", BIG, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.PrimaryKeyConstraint("tag", "version_id", name="pk_tags"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["versions.id"], name="fk_tags_version_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_tags_version_id", "tags", ["version_id"])
