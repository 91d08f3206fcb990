"""The tables about models and data sets that are neither: files, names that point, rights, origin, search, reports."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mozhu.platform.database.tables import Table


class VersionFile(Table):
    """A file of a version, by its path there and its content (``sha256:…``)."""

    __tablename__ = "version_files"

    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True)
    path: Mapped[str] = mapped_column(String(1000), primary_key=True)
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(80))

    __table_args__ = (Index("ix_version_files_sha256", "sha256"),)


class Alias(Table):
    """A name that points to one version of a model; a ``protected`` one moves only for who may manage the model."""

    __tablename__ = "aliases"

    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"))
    protected: Mapped[bool]

    __table_args__ = (Index("ix_aliases_version_id", "version_id"),)


class Share(Table):
    """What one user or team (``user:ann``, ``team:vision``) may do with a model."""

    __tablename__ = "shares"

    subject: Mapped[str] = mapped_column(String(210), primary_key=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    right: Mapped[str] = mapped_column(String(10))

    __table_args__ = (Index("ix_shares_model_id", "model_id"),)


class Rating(Table):
    """How one user finds a model, 1 to 5."""

    __tablename__ = "ratings"

    model_id: Mapped[int] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    user: Mapped[str] = mapped_column(String(200), primary_key=True)
    stars: Mapped[int]
    comment: Mapped[str]
    time: Mapped[str] = mapped_column(String(24))


class DatasetAlias(Table):
    """As ``Alias``, of a data set."""

    __tablename__ = "dataset_aliases"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("dataset_versions.id", ondelete="CASCADE"))
    protected: Mapped[bool]

    __table_args__ = (Index("ix_dataset_aliases_version_id", "version_id"),)


class DatasetShare(Table):
    """As ``Share``, of a data set."""

    __tablename__ = "dataset_shares"

    subject: Mapped[str] = mapped_column(String(210), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    right: Mapped[str] = mapped_column(String(10))

    __table_args__ = (Index("ix_dataset_shares_dataset_id", "dataset_id"),)


class DatasetRating(Table):
    """As ``Rating``, of a data set."""

    __tablename__ = "dataset_ratings"

    dataset_id: Mapped[int] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"), primary_key=True)
    user: Mapped[str] = mapped_column(String(200), primary_key=True)
    stars: Mapped[int]
    comment: Mapped[str]
    time: Mapped[str] = mapped_column(String(24))


class ReportRow(Table):
    """A report about a version; its page is the content ``sha256`` of the store, ``metrics`` what it measured."""

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    run: Mapped[str] = mapped_column(String(500))
    metrics: Mapped[dict[str, Any]]
    sha256: Mapped[str] = mapped_column(String(80))
    size: Mapped[int]
    created: Mapped[str] = mapped_column(String(24))
    attached_by: Mapped[str] = mapped_column(String(200))

    __table_args__ = (
        UniqueConstraint("version_id", "sha256"),
        Index("ix_reports_created_id", "created", "id"),
    )


class LineageEdge(Table):
    """``dst`` came from ``src``. Both are references, so that an edge outlives rows and may lead to what is elsewhere.

    Kinds: ``dataset`` ``run`` ``version`` ``model`` (one outside of the registry) and, for serving, ``endpoint``
    ``answer``.
    """

    __tablename__ = "lineage"

    src_kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    src: Mapped[str] = mapped_column(String(500), primary_key=True)
    dst_kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    dst: Mapped[str] = mapped_column(String(500), primary_key=True)
    relation: Mapped[str] = mapped_column(String(40), primary_key=True)

    __table_args__ = (Index("ix_lineage_dst_kind_dst", "dst_kind", "dst"),)


class SearchGram(Table):
    """The thing ``id`` of ``kind`` has ``gram`` in its words."""

    __tablename__ = "search_grams"

    kind: Mapped[str] = mapped_column(String(10), primary_key=True)
    gram: Mapped[str] = mapped_column(String(2), primary_key=True)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)

    __table_args__ = (Index("ix_search_grams_kind_id", "kind", "id"), {"sqlite_with_rowid": False})
