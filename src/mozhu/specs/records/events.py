"""One line of ``events.jsonl``."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mozhu.specs.records.base import Number, Record

Kind = Literal[
    "start",
    "step",
    "again",
    "eval",
    "sample",
    "log",
    "checkpoint",
    "finding",
    "resumed",
    "done",
    "failed",
    "cancelled",
]


class Event(Record):
    seq: int = Field(ge=0)
    t: str
    kind: Kind
    step: int | None = None
    loss: Number | None = None
    level: Literal["info", "warning", "error"] | None = None
    code: str | None = None
    params: dict[str, Any] | None = None
