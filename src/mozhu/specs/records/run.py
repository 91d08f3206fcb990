"""``spec.json`` of a run folder: the request, where each value came from, what it stood on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from mozhu.specs.records.base import Record


class RunInput(BaseModel):
    """Something the run stands on. ``role`` is ``base``, ``adapter`` or ``data``."""

    model_config = ConfigDict(extra="allow")

    role: str
    ref: str
    fingerprint: str | None = None
    sha256: str | None = None


class RunSpec(Record):
    verb: str
    run: str
    created: str
    fields: dict[str, Any]
    origins: dict[str, str]
    inputs: list[RunInput] = []
    environment: dict[str, str] = {}
