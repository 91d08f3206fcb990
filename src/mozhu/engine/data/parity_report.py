"""What the parity gate found: each difference with its row, turn and token; each finding with its code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mozhu.kernel.errors import shown_value
from mozhu.kernel.texts import text

MOST_SHOWN = 10


@dataclass(frozen=True)
class Token:
    """``id`` is None where a side has no token any more, or refused the conversation (``text`` says why)."""

    id: int | None
    text: str

    def __str__(self) -> str:
        return f"{self.text!r} ({self.id})" if self.id is not None else self.text


@dataclass(frozen=True)
class Difference:
    """The first token in which two sides differ.

    ``turn`` counts the messages of the row from 1 and is None for plain text; ``position`` counts tokens from
    0; ``render`` is ``prompt`` (up to where the answer begins) or ``whole``; ``before`` is the text that both
    have last in common.
    """

    code: str
    row: str
    turn: int | None
    render: Literal["prompt", "whole", "text"]
    position: int
    left: str
    right: str
    left_token: Token
    right_token: Token
    before: str = ""


@dataclass(frozen=True)
class ParityFinding:
    """``error``: the model that is served would not be the one that was trained. ``info``: worth knowing."""

    level: Literal["info", "warning", "error"]
    code: str
    params: dict[str, Any]
    differences: tuple[Difference, ...] = ()

    @property
    def words(self) -> str:
        shown = {name: shown_value(value) for name, value in self.params.items()}
        return text(f"data.{self.code}.what", **shown)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "message": self.words}


@dataclass
class ParityReport:
    """``rows`` were compared, ``refused`` are not accepted by the template; ``sides`` were compared with it."""

    rows: int = 0
    refused: int = 0
    turns: int = 0
    tokens: int = 0
    sides: list[str] = field(default_factory=list)
    findings: list[ParityFinding] = field(default_factory=list)
    stops: dict[str, dict[str, str]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def errors(self) -> list[ParityFinding]:
        return [finding for finding in self.findings if finding.level == "error"]

    def broken(self, accept: Sequence[str] = ()) -> list[ParityFinding]:
        """The errors that are not accepted by name."""
        return [finding for finding in self.errors if finding.code not in accept]

    def to_json(self) -> dict[str, Any]:
        return {
            "holds": not self.errors,
            "rows": self.rows,
            "refused": self.refused,
            "turns": self.turns,
            "tokens": self.tokens,
            "sides": self.sides,
            "findings": [finding.to_json() for finding in self.findings],
            "stops": self.stops,
            "seconds": round(self.seconds, 3),
        }


def difference_findings(differences: Iterable[Difference]) -> list[ParityFinding]:
    """One finding for each code and pair of sides: the first difference, and how many rows have one."""
    groups: dict[tuple[str, str, str], list[Difference]] = {}
    for item in differences:
        groups.setdefault((item.code, item.left, item.right), []).append(item)
    return [_finding(found) for found in groups.values()]


def _finding(found: list[Difference]) -> ParityFinding:
    first = found[0]
    params = {
        "row": first.row,
        "turn": first.turn or 1,
        "position": first.position,
        "left": first.left,
        "right": first.right,
        "left_token": str(first.left_token),
        "right_token": str(first.right_token),
        "before": first.before,
        "count": len({item.row for item in found}),
    }
    return ParityFinding("error", first.code, params, tuple(found[:MOST_SHOWN]))
