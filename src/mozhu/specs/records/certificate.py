"""``certificate.json`` beside an artefact: the proof that it is what it says."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mozhu.kernel.files import sha256_json
from mozhu.specs.records.base import Number, Record
from mozhu.specs.records.limits import RULES, holds
from mozhu.specs.records.manifest import ManifestFile


class Check(BaseModel):
    """One measured value against its limit; further fields say what the limit rests on, or which things differ."""

    model_config = ConfigDict(extra="allow")

    name: str
    value: Number | str | bool | None = None
    limit: Number | str | bool | None = None
    ok: bool

    @property
    def facts(self) -> dict[str, Any]:
        return self.model_extra or {}

    @classmethod
    def of(cls, name: str, value: Any, kind: str, **facts: Any) -> Check:
        """``value`` held against the limit that the table of limits has for it.

        Args:
            kind: Of the certificate.
            facts: What the limit rests on, and anything else worth knowing; ``None`` is left out.
        """
        known = {key: item for key, item in facts.items() if item is not None}
        rule = RULES[name]
        limit = rule.limit_of(kind, known)
        return cls(name=name, value=value, limit=limit, ok=holds(rule.direction, value, limit), **known)


class Certificate(Record):
    """``files``: every file of the artefact with its hash. ``tensors``: by name, ``type shape hash``. ``mix``: how
    many tensors and bytes have which type. ``sha256`` is that of all other fields. Certificates of older versions
    have none of these.
    """

    kind: str
    made_from: list[dict[str, Any]] = []
    fingerprint: dict[str, str] = {}
    checks: list[Check]
    passed: bool
    tools: dict[str, str] = {}
    measured: dict[str, Any] = {}
    files: list[ManifestFile] = []
    tensors: dict[str, str] = {}
    mix: dict[str, dict[str, int]] = {}
    sha256: str = Field(default="")

    @model_validator(mode="after")
    def _passes_only_when_every_check_does(self) -> Certificate:
        if self.passed != (bool(self.checks) and all(check.ok for check in self.checks)):
            raise ValueError("passed contradicts the checks")
        return self

    def own_sha256(self) -> str:
        fields = {name: value for name, value in self.to_json().items() if name != "sha256"}
        return sha256_json(fields)

    def sealed(self) -> Certificate:
        """The same with its own hash."""
        return self.model_copy(update={"sha256": self.own_sha256()})

    def check(self, name: str) -> Check | None:
        return next((check for check in self.checks if check.name == name), None)
