"""Models and their versions on the wire."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

from mozhu.specs.wire.imports import ImportWire
from mozhu.specs.wire.states import State


class VersionWire(TypedDict):
    """One version. ``reference`` is ``name:label``; times are UTC, ISO 8601."""

    reference: str
    name: str
    label: str
    seq: int
    state: State
    kind: str
    model_type: str
    base_model: str
    task: str
    description: str
    training_dataset: str
    training_steps: int
    performance: dict[str, Any]
    tags: list[str]
    path: str
    size_bytes: int
    checksum: str
    certified: bool
    created: str
    registered: str
    owner: str
    team: str
    notes: str
    trashed: str | None


class ModelWire(TypedDict):
    """A model with its newest version."""

    name: str
    owner: str
    team: str
    created: str
    updated: str
    version_count: int
    newest: VersionWire
    type: str
    description: str
    licence: str
    visibility: str
    base_reference: str
    size_bytes: int
    trashed: str | None


class HistoryWire(TypedDict):
    time: str
    what: str
    model: str
    version: str
    details: dict[str, Any]


class ModelDetailWire(TypedDict):
    """``chosen`` is the version that was asked for, else the newest; ``versions`` come newest first.

    ``imports`` are those that are to become a version and are not ready, newest first.
    ``next``: more versions follow; give it as ``before`` to get them.
    """

    model: ModelWire
    chosen: VersionWire
    versions: list[VersionWire]
    history: list[HistoryWire]
    imports: list[ImportWire]
    next: int | None


class ModelsPage(TypedDict):
    """``next`` is the cursor of the page that follows, null on the last one."""

    items: list[ModelWire]
    next: str | None


class ValidationWire(TypedDict):
    path: str
    kind: str
    reference: str | None
    state: State | None
    certified: bool
    file_count: int
    size_bytes: int
    checksum: str | None
    is_whole: bool
    problems: list[dict[str, Any]]


class RescanWire(TypedDict):
    models: int
    versions: int
    added: list[str]
    gone: list[str]
    failed: list[str]
    refused: list[dict[str, Any]]
    datasets: dict[str, Any]
