"""The tables of the catalogue; each change of them is a step in ``migrations/versions``.

``owner`` and ``team`` stand ready for accounts; one machine is ``local``. Times are UTC ISO 8601 with
milliseconds and ``Z``, so that they sort as text.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, ForeignKey, Index, Integer, MetaData, String, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from mozhu.platform.database.columns import BIG

LOCAL = "local"


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_N_label)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {dict[str, Any]: JSON, int: BIG}


class SchemaVersion(Table):
    """What releases before the steps of ``migrations/`` read; it tells them that this database is too new."""

    __tablename__ = "schema_version"

    version: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    applied: Mapped[str]


class Model(Table):
    """A named asset. ``updated`` is when its newest version came; counts and sizes are without what is in the trash.

    ``trashed`` is when it was put there. ``search_text`` is what it is searched by, see ``grams.py``.
    """

    __tablename__ = "models"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(200), default=LOCAL)
    team: Mapped[str] = mapped_column(String(200), default=LOCAL)
    name: Mapped[str] = mapped_column(String(200))
    created: Mapped[str]
    updated: Mapped[str]
    version_count: Mapped[int] = mapped_column(default=0)
    type: Mapped[str] = mapped_column(String(10), default="text", server_default="text")
    description: Mapped[str] = mapped_column(default="", server_default="")
    licence: Mapped[str] = mapped_column(String(200), default="", server_default="")
    visibility: Mapped[str] = mapped_column(String(10), default="private", server_default="private")
    base_reference: Mapped[str] = mapped_column(String(500), default="", server_default="")
    trashed: Mapped[str | None] = mapped_column(String(24), default=None)
    trashed_by: Mapped[str] = mapped_column(String(200), default="", server_default="")
    size_bytes: Mapped[int] = mapped_column(default=0, server_default="0")
    search_text: Mapped[str] = mapped_column(default="", server_default="")

    versions: Mapped[list[Version]] = relationship(
        back_populates="model", order_by="Version.seq", cascade="all, delete-orphan", passive_deletes=True
    )

    __table_args__ = (
        UniqueConstraint("owner", "name"),
        Index("ix_models_updated_id", "updated", "id"),
        Index("ix_models_name_id", "name", "id"),
        Index("ix_models_type_updated_id", "type", "updated", "id"),
        Index("ix_models_trashed_type", "trashed", "type", "version_count", "size_bytes"),
        Index("ix_models_owner_updated_id", "owner", "updated", "id"),
        Index("ix_models_visibility_team", "visibility", "team"),
        Index("ix_models_visibility_updated_id", "visibility", "updated", "id"),
        Index(
            "ix_models_in_trash",
            "updated",
            "id",
            sqlite_where=sql("trashed IS NOT NULL"),
            postgresql_where=sql("trashed IS NOT NULL"),
        ),
    )


class Version(Table):
    """A registered result. ``path`` is relative to ``5_models`` (POSIX), ``checksum`` that of its manifest.

    ``seq`` counts the versions of a model from 1 in the order of their registration.
    """

    __tablename__ = "versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    seq: Mapped[int]
    label: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    kind: Mapped[str] = mapped_column(String(20))
    model_type: Mapped[str] = mapped_column(String(20))
    base_model: Mapped[str]
    task: Mapped[str]
    description: Mapped[str]
    training_dataset: Mapped[str]
    training_steps: Mapped[int]
    performance: Mapped[dict[str, Any]]
    path: Mapped[str]
    size_bytes: Mapped[int]
    checksum: Mapped[str] = mapped_column(String(80))
    certified: Mapped[bool]
    created: Mapped[str]
    registered: Mapped[str]
    notes: Mapped[str] = mapped_column(default="", server_default="")
    trashed: Mapped[str | None] = mapped_column(String(24), default=None)
    trashed_by: Mapped[str] = mapped_column(String(200), default="", server_default="")

    model: Mapped[Model] = relationship(back_populates="versions")
    tags: Mapped[list[Tag]] = relationship(
        order_by="Tag.position", cascade="all, delete-orphan", passive_deletes=True
    )

    __table_args__ = (
        UniqueConstraint("model_id", "seq"),
        UniqueConstraint("model_id", "label"),
        Index("ix_versions_checksum", "checksum"),
        Index("ix_versions_path", "path"),
        Index("ix_versions_registered_id", "registered", "id"),
        Index("ix_versions_state", "state"),
        Index("ix_versions_training_dataset", "training_dataset"),
    )


class Tag(Table):
    """One word on one version; the key begins with the word, so that a search by tag reads an index."""

    __tablename__ = "tags"

    tag: Mapped[str] = mapped_column(String(200), primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int]

    __table_args__ = (Index("ix_tags_version_id", "version_id"),)


class Dataset(Table):
    """A named data set; the columns mean what they mean for a model, ``kind`` is that of its newest version."""

    __tablename__ = "datasets"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(200), default=LOCAL)
    team: Mapped[str] = mapped_column(String(200), default=LOCAL)
    name: Mapped[str] = mapped_column(String(200))
    created: Mapped[str]
    updated: Mapped[str]
    version_count: Mapped[int] = mapped_column(default=0)
    kind: Mapped[str] = mapped_column(String(20), default="", server_default="")
    description: Mapped[str] = mapped_column(default="", server_default="")
    licence: Mapped[str] = mapped_column(String(200), default="", server_default="")
    visibility: Mapped[str] = mapped_column(String(10), default="private", server_default="private")
    trashed: Mapped[str | None] = mapped_column(String(24), default=None)
    trashed_by: Mapped[str] = mapped_column(String(200), default="", server_default="")
    size_bytes: Mapped[int] = mapped_column(default=0, server_default="0")
    search_text: Mapped[str] = mapped_column(default="", server_default="")

    versions: Mapped[list[DatasetVersion]] = relationship(
        back_populates="dataset",
        order_by="DatasetVersion.seq",
        cascade="all, delete-orphan",
        passive_deletes=True,
    )

    __table_args__ = (
        UniqueConstraint("owner", "name"),
        Index("ix_datasets_updated_id", "updated", "id"),
        Index("ix_datasets_name_id", "name", "id"),
        Index("ix_datasets_kind_updated_id", "kind", "updated", "id"),
        Index("ix_datasets_owner_updated_id", "owner", "updated", "id"),
        Index("ix_datasets_visibility_team", "visibility", "team"),
        Index("ix_datasets_visibility_updated_id", "visibility", "updated", "id"),
        Index("ix_datasets_trashed_kind", "trashed", "kind", "version_count", "size_bytes"),
        Index(
            "ix_datasets_in_trash",
            "updated",
            "id",
            sqlite_where=sql("trashed IS NOT NULL"),
            postgresql_where=sql("trashed IS NOT NULL"),
        ),
    )


class DatasetVersion(Table):
    """A registered snapshot. ``path`` is relative to ``5_models`` (POSIX), ``content`` the hash of what it says.

    ``seq`` counts the versions of a data set from 1 in the order of their registration.
    """

    __tablename__ = "dataset_versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    seq: Mapped[int]
    label: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(20))
    description: Mapped[str]
    path: Mapped[str]
    size_bytes: Mapped[int]
    row_count: Mapped[int]
    rejected_count: Mapped[int]
    parts: Mapped[dict[str, Any]]
    content: Mapped[str] = mapped_column(String(80))
    created: Mapped[str]
    registered: Mapped[str]
    kind: Mapped[str] = mapped_column(String(20), default="", server_default="")
    notes: Mapped[str] = mapped_column(default="", server_default="")
    trashed: Mapped[str | None] = mapped_column(String(24), default=None)
    trashed_by: Mapped[str] = mapped_column(String(200), default="", server_default="")

    dataset: Mapped[Dataset] = relationship(back_populates="versions")
    tags: Mapped[list[DatasetTag]] = relationship(
        order_by="DatasetTag.position", cascade="all, delete-orphan", passive_deletes=True
    )

    __table_args__ = (
        UniqueConstraint("dataset_id", "seq"),
        UniqueConstraint("dataset_id", "label"),
        Index("ix_dataset_versions_content", "content"),
        Index("ix_dataset_versions_path", "path"),
        Index("ix_dataset_versions_state", "state"),
        Index("ix_dataset_versions_registered_id", "registered", "id"),
    )


class DatasetTag(Table):
    """One word on one version of a data set."""

    __tablename__ = "dataset_tags"

    tag: Mapped[str] = mapped_column(String(200), primary_key=True)
    version_id: Mapped[int] = mapped_column(
        ForeignKey("dataset_versions.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int]

    __table_args__ = (Index("ix_dataset_tags_version_id", "version_id"),)


class History(Table):
    """What happened, append-only. Names, not ids: a line outlives the rows that it tells of.

    ``subject``: ``model`` holds the name of a ``model`` or of a ``dataset``.
    """

    __tablename__ = "history"

    id: Mapped[int] = mapped_column(primary_key=True)
    time: Mapped[str]
    what: Mapped[str] = mapped_column(String(60))
    subject: Mapped[str] = mapped_column(String(20), default="model", server_default="model")
    model: Mapped[str] = mapped_column(String(200), default="")
    version: Mapped[str] = mapped_column(String(200), default="")
    details: Mapped[dict[str, Any]]

    __table_args__ = (Index("ix_history_model_version", "model", "version"),)
