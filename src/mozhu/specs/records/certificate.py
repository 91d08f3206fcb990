"""``certificate.json`` beside an artefact: the proof that it is what it says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from mozhu.specs.records.base import Number, Record


class Check(BaseModel):
    """One measured value against its limit."""

    model_config = ConfigDict(extra="allow")

    name: str
    value: Number | str | bool | None = None
    limit: Number | str | bool | None = None
    ok: bool


class Certificate(Record):
    kind: str
    made_from: list[dict[str, Any]] = []
    fingerprint: dict[str, str] = {}
    checks: list[Check]
    passed: bool
    tools: dict[str, str] = {}

    @model_validator(mode="after")
    def _passes_only_when_every_check_does(self) -> Certificate:
        if self.passed != (bool(self.checks) and all(check.ok for check in self.checks)):
            raise ValueError("passed contradicts the checks")
        return self
