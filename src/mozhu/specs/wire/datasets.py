"""Data sets and their versions on the wire."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from mozhu.specs.wire.models import HistoryWire, State


class DatasetVersionWire(TypedDict):
    """One version. ``parts``: of each part its file, rows, bytes and hash; ``content`` is its address."""

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


class DatasetWire(TypedDict):
    """A data set with its newest version."""

    name: str
    owner: str
    team: str
    created: str
    updated: str
    version_count: int
    newest: DatasetVersionWire


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
