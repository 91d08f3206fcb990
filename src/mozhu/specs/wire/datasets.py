"""Data sets and their versions on the wire."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from mozhu.specs.wire.models import HistoryWire
from mozhu.specs.wire.states import State

# What the rows of a data set teach.
DatasetKind = Literal["sft", "pt", "dpo", "rm", "kto", "classification", "multimodal"]


class DatasetEdit(BaseModel):
    """What is to change; what is left out stays. `visibility` needs the right to manage."""

    model_config = ConfigDict(extra="forbid")

    description: str | None = Field(default=None, max_length=20_000)
    licence: str | None = Field(default=None, max_length=200)
    visibility: Literal["private", "team", "everyone"] | None = None


class DatasetVersionWire(TypedDict):
    """One version. ``kind`` is what its rows teach, empty where it is not known.

    ``parts``: of each part its file, rows, bytes and hash; ``content`` is its address.
    """

    reference: str
    name: str
    label: str
    seq: int
    state: State
    description: str
    tags: list[str]
    path: str
    size_bytes: int
    row_count: int
    rejected_count: int
    parts: dict[str, dict[str, Any]]
    content: str
    created: str
    registered: str
    owner: str
    team: str
    kind: str
    notes: str
    trashed: str | None


class DatasetWire(TypedDict):
    """A data set with its newest version; ``kind`` is that of the newest."""

    name: str
    owner: str
    team: str
    created: str
    updated: str
    version_count: int
    newest: DatasetVersionWire
    kind: str
    description: str
    licence: str
    visibility: str
    size_bytes: int
    trashed: str | None


class DatasetDetailWire(TypedDict):
    """``recipe`` says how ``chosen`` was made, ``used_by`` which model versions were trained on it."""

    dataset: DatasetWire
    chosen: DatasetVersionWire
    versions: list[DatasetVersionWire]
    recipe: dict[str, Any]
    files: list[str]
    used_by: list[str]
    history: list[HistoryWire]


class DatasetsPage(TypedDict):
    """``next`` is the cursor of the page that follows, null on the last one."""

    items: list[DatasetWire]
    next: str | None


class DatasetRowWire(TypedDict):
    row_id: str
    part: str
    row: dict[str, Any]


class DatasetReportWire(TypedDict):
    path: str
    reference: str | None
    state: State | None
    row_count: int
    file_count: int
    size_bytes: int
    content: str
    is_whole: bool
    problems: list[dict[str, Any]]
