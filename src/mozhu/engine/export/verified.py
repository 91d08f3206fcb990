"""What a look at an artefact has found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozhu.kernel.texts import text
from mozhu.specs.records.certificate import Certificate

BARE = "bare"


@dataclass(frozen=True)
class Difference:
    """``place`` is the file, tensor or check that differs; ``level`` is ``error`` or ``warning``."""

    level: str
    place: str
    code: str
    words: str

    def to_json(self) -> dict[str, str]:
        return {"level": self.level, "place": self.place, "code": self.code, "words": self.words}


@dataclass
class Looked:
    """``measured``: the certificate measured anew, of a deep look. ``certificate``: weights alone may have none."""

    artefact: Path
    place: Path
    certificate: Certificate | None
    differences: list[Difference] = field(default_factory=list)
    looked_at: dict[str, int] = field(default_factory=dict)
    measured: Certificate | None = None

    @property
    def kind(self) -> str:
        """Of the certificate; ``bare`` where there is none."""
        return BARE if self.certificate is None else self.certificate.kind

    @property
    def holds(self) -> bool:
        return not any(item.level == "error" for item in self.differences)

    def add(self, code: str, place: str, level: str = "error", **params: Any) -> None:
        self.say(code, place, text(f"export.verify.{code}", place=place, **params), level)

    def say(self, code: str, place: str, words: str, level: str = "error") -> None:
        self.differences.append(Difference(level, place, code, words))

    def to_json(self) -> dict[str, Any]:
        return {
            "artefact": str(self.artefact),
            "certificate": None if self.certificate is None else str(self.place),
            "kind": self.kind,
            "holds": self.holds,
            "differences": [item.to_json() for item in self.differences],
            "looked_at": self.looked_at,
            "measured": None if self.measured is None else self.measured.to_json(),
        }
