"""What a check found: a level, a stable code, and the parameters of its text."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Finding:
    """``error`` stops the run before it begins, ``warning`` is a likely mistake, ``info`` is worth knowing."""

    level: Literal["info", "warning", "error"]
    code: str
    params: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
