"""Data sets have what models have: words, a visibility, a trash, rights, aliases, search; versions have reports."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text as sql

from mozhu.platform.database.columns import BIG
from mozhu.platform.database.grams import grams_of, search_text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for name, kind, default in (
        ("kind", sa.String(20), ""),
        ("description", sa.String, ""),
        ("licence", sa.String(200), ""),
        ("visibility", sa.String(10), "private"),
        ("trashed_by", sa.String(200), ""),
        ("size_bytes", BIG, "0"),
        ("search_text", sa.String, ""),
    ):
        op.add_column("datasets", sa.Column(name, kind, nullable=False, server_default=default))
    op.add_column("datasets", sa.Column("trashed", sa.String(24)))
    for name, kind in (("kind", sa.String(20)), ("notes", sa.String), ("trashed_by", sa.String(200))):
        op.add_column("dataset_versions", sa.Column(name, kind, nullable=False, server_default=""))
    op.add_column("dataset_versions", sa.Column("trashed", sa.String(24)))
    _tables()
    _fill()
    _indexes()


def _indexes() -> None:
    for columns in (
        ["name", "id"],
        ["kind", "updated", "id"],
        ["owner", "updated", "id"],
        ["visibility", "team"],
    ):
        op.create_index(f"ix_datasets_{'_'.join(columns)}", "datasets", columns)
    op.create_index(
        "ix_datasets_trashed_kind", "datasets", ["trashed", "kind", "version_count", "size_bytes"]
    )
    op.create_index("ix_versions_training_dataset", "versions", ["training_dataset"])
    in_trash = sql("trashed IS NOT NULL")
    op.create_index(
        "ix_datasets_in_trash",
        "datasets",
        ["updated", "id"],
        sqlite_where=in_trash,
        postgresql_where=in_trash,
    )


def _of_dataset(
    table: str, *columns: sa.Column[object], key: list[str], index: list[str] | None = None
) -> None:
    op.create_table(
        table,
        sa.Column("dataset_id", BIG, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["datasets.id"], name=f"fk_{table}_dataset_id", ondelete="CASCADE"
        ),
    )
    if index:
        op.create_index(f"ix_{table}_{'_'.join(index)}", table, index)


def _tables() -> None:
    version = sa.ForeignKey("dataset_versions.id", name="fk_dataset_aliases_version_id", ondelete="CASCADE")
    _of_dataset(
        "dataset_aliases",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("version_id", BIG, version, nullable=False),
        sa.Column("protected", sa.Boolean, nullable=False),
        key=["dataset_id", "name"],
        index=["version_id"],
    )
    _of_dataset(
        "dataset_shares",
        sa.Column("subject", sa.String(210), nullable=False),
        sa.Column("right", sa.String(10), nullable=False),
        key=["subject", "dataset_id"],
        index=["dataset_id"],
    )
    _of_dataset(
        "dataset_ratings",
        sa.Column("user", sa.String(200), nullable=False),
        sa.Column("stars", BIG, nullable=False),
        sa.Column("comment", sa.String, nullable=False),
        sa.Column("time", sa.String(24), nullable=False),
        key=["dataset_id", "user"],
    )
    op.create_table(
        "reports",
        sa.Column("id", BIG, nullable=False),
        sa.Column("version_id", BIG, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("run", sa.String(500), nullable=False),
        sa.Column("metrics", sa.JSON, nullable=False),
        sa.Column("sha256", sa.String(80), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("created", sa.String(24), nullable=False),
        sa.Column("attached_by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_reports"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["versions.id"], name="fk_reports_version_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("version_id", "sha256", name="uq_reports_version_id_sha256"),
    )
    op.create_index("ix_reports_created_id", "reports", ["created", "id"])


def _fill() -> None:
    """What is there is found, and counted, as if it had come today; of what kind its rows are a rescan tells."""
    at = op.get_bind()
    at.execute(
        sql(
            "UPDATE datasets SET size_bytes = (SELECT coalesce(sum(size_bytes), 0) FROM dataset_versions"
            " WHERE dataset_versions.dataset_id = datasets.id)"
        )
    )
    words: dict[int, list[str]] = {}
    for row in at.execute(sql("SELECT id, name, owner, team FROM datasets ORDER BY id")):
        words[row.id] = [row.name, row.owner, row.team]
    of: dict[int, int] = {}
    for row in at.execute(
        sql("SELECT id, dataset_id, label, description FROM dataset_versions ORDER BY seq")
    ):
        of[row.id] = row.dataset_id
        words[row.dataset_id] += [row.label, row.description]
    for row in at.execute(sql("SELECT tag, version_id FROM dataset_tags ORDER BY version_id, position")):
        words[of[row.version_id]].append(row.tag)
    for number, values in words.items():
        searched = search_text(values)
        at.execute(
            sql("UPDATE datasets SET search_text = :words WHERE id = :id"), {"words": searched, "id": number}
        )
        rows = [{"gram": gram, "id": number} for gram in grams_of(searched)]
        if rows:
            at.execute(sql("INSERT INTO search_grams (kind, gram, id) VALUES ('dataset', :gram, :id)"), rows)
