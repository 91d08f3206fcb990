"""``snapshot.json`` beside prepared data, one prepared row, one rejected row."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mozhu.specs.records.base import SHA256, Record


class RowSource(BaseModel):
    model_config = ConfigDict(extra="allow")

    file: str
    line: int = Field(ge=1)
    sha256: str | None = None


class PreparedRow(BaseModel):
    """Exactly one of ``messages``, ``text``, ``messages`` + ``chosen`` + ``rejected``, ``messages`` + ``label``."""

    model_config = ConfigDict(extra="allow")

    row_id: str
    messages: list[dict[str, Any]] | None = None
    text: str | None = None
    source: RowSource

    @model_validator(mode="after")
    def _holds_messages_or_text(self) -> PreparedRow:
        if self.messages is None and self.text is None:
            raise ValueError("a prepared row holds messages or text")
        return self


class RejectedRow(BaseModel):
    model_config = ConfigDict(extra="allow")

    file: str
    line: int
    field: str
    code: str
    params: dict[str, Any] = {}
    excerpt: str
    fix: str


class SnapshotPart(BaseModel):
    """One part of the data: ``train``, ``validation`` or ``test``."""

    path: str
    rows: int = Field(ge=0)
    sha256: str = Field(pattern=SHA256)


class SnapshotFix(BaseModel):
    """What one fixer changed: rows, and texts in them; ``version`` is the fixer's own."""

    rows: int = Field(ge=0)
    changes: int = Field(ge=0)
    version: int = Field(ge=1)


class Snapshot(Record):
    """``left_out`` counts copies and rows of benchmarks by their codes; they are no rejected rows."""

    name: str
    created: str
    parts: dict[str, SnapshotPart]
    sources: list[dict[str, Any]] = []
    rejected: int = 0
    left_out: dict[str, int] = {}
    fixes: dict[str, SnapshotFix] = {}
    settings: dict[str, Any] = {}
    sha256: str = Field(pattern=SHA256)
