"""A registry reference: ``name``, ``name:version`` or ``name@alias``."""

from __future__ import annotations

from dataclasses import dataclass

LATEST = "latest"


@dataclass(frozen=True)
class Reference:
    """At most one of ``version`` and ``alias``; neither means the newest version."""

    name: str
    version: str | None = None
    alias: str | None = None

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.name}:{self.version}"
        return self.name if self.alias is None else f"{self.name}@{self.alias}"


def parse_reference(value: str) -> Reference | None:
    """``value`` as a reference, ``None`` where it has not the form of one (a path, a hub id, nothing)."""
    if not value or "/" in value or "\\" in value:
        return None
    name, colon, version = value.partition(":")
    if colon:
        return Reference(name, version=version) if name and version and ":" not in version else None
    name, at, alias = value.rpartition("@")
    if at:
        return Reference(name, alias=alias) if name and alias else None
    return Reference(value)
