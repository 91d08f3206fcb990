"""How much an upload may hold: the same for every kind of archive."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """``total_bytes`` counts what comes out; ``ratio`` is out to in, and counts from ``ratio_from_bytes`` on."""

    total_bytes: int = 64 << 30
    entries: int = 10_000
    depth: int = 16
    ratio: int = 200
    ratio_from_bytes: int = 1 << 20
