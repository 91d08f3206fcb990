"""``result.json`` of a run folder: how it ended and what it made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mozhu.kernel.errors import MozhuError
from mozhu.specs.records.base import Number, Record


class Artefact(BaseModel):
    """``path``, ``manifest`` and ``certificate`` are relative to the run folder."""

    model_config = ConfigDict(extra="allow")

    kind: str
    path: str
    manifest: str | None = None
    certificate: str | None = None


class Metric(BaseModel):
    """A value with its interval and its signature: what was counted, with which tokenisation."""

    model_config = ConfigDict(extra="allow")

    value: Number
    low: Number | None = None
    high: Number | None = None
    n: int | None = None
    signature: str | None = None


class Result(Record):
    state: Literal["succeeded", "failed", "cancelled"]
    artefacts: list[Artefact] = []
    metrics: dict[str, Metric] = {}
    error: dict[str, Any] | None = None
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    details: dict[str, Any] = {}

    @classmethod
    def of_failure(cls, error: MozhuError) -> Result:
        """The result of a run that ended with ``error``."""
        return cls(state="failed", error={**error.to_json(), "exit_code": error.exit_code})


@dataclass(frozen=True)
class Outcome:
    """What a verb's engine hands back when it ends well; the run's ``result.json`` is made of it."""

    artefacts: list[Artefact] = field(default_factory=list)
    metrics: dict[str, Metric] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
