"""``registration.json`` beside a registered snapshot: which version it is, and the hash of its every file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from mozhu.kernel.files import finite, sha256_json
from mozhu.specs.records.base import SHA256, Record
from mozhu.specs.records.manifest import ManifestFile
from mozhu.specs.records.sidecars import REGISTRATION

SNAPSHOT = "snapshot.json"
_ROWS = re.compile(r"#\d+$")


class RegisteredPart(BaseModel):
    """``bytes`` and ``sha256`` are those of its file."""

    path: str
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=SHA256)


class DatasetRegistration(Record):
    """A version of a data set. ``content`` is the hash of what its rows and its recipe say (no ids, no times),
    ``created`` when the snapshot was made.

    ``row_ids``: what follows ``name:version#`` in the id of a row: the ``number`` at the end of the row's own
    id, or its ``whole`` id where numbers repeat. ``sha256`` is that of all other fields.
    """

    kind: Literal["dataset"]
    name: str = Field(min_length=1)
    version: str = Field(min_length=1)
    registered: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
    owner: str
    team: str
    source: str = ""
    description: str = ""
    tags: list[str] = []
    created: str = ""
    parts: dict[str, RegisteredPart]
    rejected: int = Field(default=0, ge=0)
    row_ids: Literal["number", "whole"]
    content: str = Field(pattern=SHA256)
    files: list[ManifestFile]
    sha256: str = Field(pattern=SHA256)

    @classmethod
    def make(cls, **fields: Any) -> DatasetRegistration:
        """The record of ``fields`` with its own hash."""
        draft = cls(kind="dataset", sha256=sha256_json(None), **fields)
        return draft.model_copy(update={"sha256": draft.own_sha256()})

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.version}"

    def own_sha256(self) -> str:
        return sha256_json({name: value for name, value in self.to_json().items() if name != "sha256"})

    def row_id(self, own: str) -> str:
        """The id, in this version, of the row that calls itself ``own``: ``name:version#n``."""
        return f"{self.reference}#{own.rpartition('#')[2] if self.row_ids == 'number' else own}"

    def is_written_at(self, path: Path) -> bool:
        """Whether ``path`` holds this record and not a byte besides."""
        content = json.dumps(finite(self.to_json()), ensure_ascii=False, indent=2) + "\n"
        return path.read_bytes() == content.encode("utf-8")


def dataset_title(place: str) -> str:
    """``name:version`` for a place inside a registered data set, else ``place`` as it is written."""
    version = dataset_registration(place)
    return place if version is None else version.reference


def dataset_registration(place: str | Path) -> DatasetRegistration | None:
    """The version that the folder ``place`` is, or that the file ``place`` is a part of; ``None`` where it is none.

    ``#rows`` may follow the path.

    Raises:
        BadJson: FILE-004. DamagedRecord: FILE-006.
    """
    path = Path(place)
    if not path.exists():
        path = Path(_ROWS.sub("", str(place)))
    folder = path.parent if path.is_file() else path
    if not (folder / SNAPSHOT).is_file() or not (folder / REGISTRATION).is_file():
        return None
    return DatasetRegistration.read(folder / REGISTRATION)
