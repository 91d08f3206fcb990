"""One thing found wrong with a file of an artefact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from mozhu.kernel.texts import text


@dataclass(frozen=True)
class Problem:
    """``error``: the artefact is damaged or incomplete. ``warning``: usable, and worth knowing."""

    level: Literal["error", "warning"]
    file: str
    code: str
    params: dict[str, Any]

    @property
    def reason(self) -> str:
        """The reason in words, in the language in force."""
        return text(f"registry.problem.{self.code}", file=self.file, **self.params)

    def line(self) -> str:
        return f"`{self.file}`: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        return {
            "level": self.level,
            "file": self.file,
            "code": self.code,
            "reason": self.reason,
            **self.params,
        }


def fault(file: str, code: str, **params: Any) -> Problem:
    return Problem("error", file, code, params)


def remark(file: str, code: str, **params: Any) -> Problem:
    return Problem("warning", file, code, params)
