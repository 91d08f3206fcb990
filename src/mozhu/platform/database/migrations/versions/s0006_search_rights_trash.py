"""Models have a type, words, a licence, a visibility and a trash; files, aliases, shares, ratings, lineage, search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy import text as sql

from mozhu.platform.database.columns import BIG
from mozhu.platform.database.grams import grams_of, search_text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    for name, kind, default in (
        ("type", sa.String(10), "text"),
        ("description", sa.String, ""),
        ("licence", sa.String(200), ""),
        ("visibility", sa.String(10), "private"),
        ("base_reference", sa.String(500), ""),
        ("trashed_by", sa.String(200), ""),
        ("size_bytes", BIG, "0"),
        ("search_text", sa.String, ""),
    ):
        op.add_column("models", sa.Column(name, kind, nullable=False, server_default=default))
    op.add_column("models", sa.Column("trashed", sa.String(24)))
    op.add_column("versions", sa.Column("notes", sa.String, nullable=False, server_default=""))
    op.add_column("versions", sa.Column("trashed_by", sa.String(200), nullable=False, server_default=""))
    op.add_column("versions", sa.Column("trashed", sa.String(24)))
    _tables()
    _fill()
    op.create_index("ix_models_trashed_type", "models", ["trashed", "type", "version_count", "size_bytes"])
    op.create_index("ix_models_name_id", "models", ["name", "id"])
    op.create_index("ix_models_type_updated_id", "models", ["type", "updated", "id"])
    op.create_index("ix_versions_state", "versions", ["state"])


def _of_model(
    table: str, *columns: sa.Column[object], key: list[str], index: list[str] | None = None
) -> None:
    op.create_table(
        table,
        sa.Column("model_id", BIG, nullable=False),
        *columns,
        sa.PrimaryKeyConstraint(*key, name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=f"fk_{table}_model_id", ondelete="CASCADE"),
    )
    if index:
        op.create_index(f"ix_{table}_{'_'.join(index)}", table, index)


def _tables() -> None:
    op.create_table(
        "version_files",
        sa.Column("version_id", BIG, nullable=False),
        sa.Column("path", sa.String(1000), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("sha256", sa.String(80), nullable=False),
        sa.PrimaryKeyConstraint("version_id", "path", name="pk_version_files"),
        sa.ForeignKeyConstraint(
            ["version_id"], ["versions.id"], name="fk_version_files_version_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_version_files_sha256", "version_files", ["sha256"])
    _of_model(
        "aliases",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column(
            "version_id",
            BIG,
            sa.ForeignKey("versions.id", name="fk_aliases_version_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("protected", sa.Boolean, nullable=False),
        key=["model_id", "name"],
        index=["version_id"],
    )
    _of_model(
        "shares",
        sa.Column("subject", sa.String(210), nullable=False),
        sa.Column("right", sa.String(10), nullable=False),
        key=["subject", "model_id"],
        index=["model_id"],
    )
    _of_model(
        "ratings",
        sa.Column("user", sa.String(200), nullable=False),
        sa.Column("stars", BIG, nullable=False),
        sa.Column("comment", sa.String, nullable=False),
        sa.Column("time", sa.String(24), nullable=False),
        key=["model_id", "user"],
    )
    ends = (("src_kind", 20), ("src", 500), ("dst_kind", 20), ("dst", 500), ("relation", 40))
    op.create_table(
        "lineage",
        *(sa.Column(name, sa.String(length), nullable=False) for name, length in ends),
        sa.PrimaryKeyConstraint(*(name for name, _ in ends), name="pk_lineage"),
    )
    op.create_index("ix_lineage_dst_kind_dst", "lineage", ["dst_kind", "dst"])
    op.create_table(
        "search_grams",
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("gram", sa.String(2), nullable=False),
        sa.Column("id", BIG, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("kind", "gram", "id", name="pk_search_grams"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_search_grams_kind_id", "search_grams", ["kind", "id"])


def _fill() -> None:
    """What is there is found, and counted, as if it had come today."""
    at = op.get_bind()
    at.execute(
        sql(
            "UPDATE models SET size_bytes = (SELECT coalesce(sum(size_bytes), 0) FROM versions"
            " WHERE versions.model_id = models.id)"
        )
    )
    words: dict[int, list[str]] = {}
    for row in at.execute(sql("SELECT id, name, owner, team FROM models ORDER BY id")):
        words[row.id] = ["text", row.name, row.owner, row.team]
    asked = "SELECT id, model_id, label, base_model, task, description, model_type, kind FROM versions ORDER BY seq"
    models: dict[int, int] = {}
    for row in at.execute(sql(asked)):
        models[row.id] = row.model_id
        words[row.model_id] += [
            row.label,
            row.base_model,
            row.task,
            row.description,
            row.model_type,
            row.kind,
        ]
    for row in at.execute(sql("SELECT tag, version_id FROM tags")):
        words[models[row.version_id]].append(row.tag)
    for model, values in words.items():
        searched = search_text(values)
        at.execute(
            sql("UPDATE models SET search_text = :words WHERE id = :id"), {"words": searched, "id": model}
        )
        rows = [{"gram": gram, "id": model} for gram in grams_of(searched)]
        if rows:
            at.execute(sql("INSERT INTO search_grams (kind, gram, id) VALUES ('model', :gram, :id)"), rows)
