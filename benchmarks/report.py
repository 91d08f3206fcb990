"""What a benchmark found, as JSON to commit and as a table to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.harness import FIGURES, Measured, Ratio, ratio

_NAMES = {"wall_s": "wall", "cpu_s": "CPU", "added_bytes": "memory"}
_MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limit:
    """A figure that must not be exceeded."""

    what: str
    value: float
    limit: float
    unit: str

    @property
    def ok(self) -> bool:
        return self.value <= self.limit


@dataclass(frozen=True)
class Comparison:
    """Peers that did the same work.

    Args:
        amount: How much work it was, in ``unit``; speeds are given from it.
        against: (of, to): which peer is divided by which, in every figure both have.
        runs: How often each peer ran, where that is not the record's number.
    """

    title: str
    measured: dict[str, Measured]
    amount: float | None = None
    unit: str = ""
    against: Sequence[tuple[str, str]] = ()
    limits: Sequence[Limit] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    runs: int | None = None

    def ratios(self) -> list[Ratio]:
        found = (ratio(self.measured, of, to, figure) for of, to in self.against for figure in FIGURES)
        return [item for item in found if item is not None]

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            **({} if self.runs is None else {"runs": self.runs}),
            "work": {"amount": self.amount, "unit": self.unit, **self.facts},
            "peers": {name: self._peer(one) for name, one in self.measured.items()},
            "ratios": [_rounded(asdict(item)) for item in self.ratios()],
            "limits": [_rounded({**asdict(item), "ok": item.ok}) for item in self.limits],
        }

    def _peer(self, measured: Measured) -> dict[str, Any]:
        wall, cpu = measured.figure("wall_s"), measured.figure("cpu_s")
        peak, added = measured.figure("peak_bytes"), measured.figure("added_bytes")
        told: dict[str, Any] = {"wall_s": wall, "cpu_s": cpu}
        if peak is not None and added is not None:
            told |= {"peak_mb": peak / _MEBIBYTE, "added_mb": added / _MEBIBYTE}
        if self.amount and wall and cpu:
            told |= {"per_s": self.amount / wall, "per_cpu_s": self.amount / cpu}
        runs = [[sample.wall_s, sample.cpu_s] for sample in measured.samples]
        return {**_rounded(told), "runs_wall_cpu_s": [[_short(value) for value in run] for run in runs]}


def table(record: dict[str, Any]) -> str:
    """The record of one benchmark for a terminal."""
    load = record["load"]
    head = (
        f"{record['name']} ({record['size']}): {record['seconds']:.0f} s, load {load[0]:.1f} to {load[1]:.1f}"
    )
    return "\n".join([head, *(line for part in record["comparisons"] for line in _lines(part))])


def _lines(part: dict[str, Any]) -> list[str]:
    work = part["work"]
    amount = f", {work['amount']:,.0f} {work['unit']}" if work["amount"] else ""
    width = max(len(name) for name in part["peers"])
    facts = [f"{name} {value}" for name, value in work.items() if name not in {"amount", "unit"}]
    lines = [f"  {part['title']}{amount}" + (f" ({', '.join(facts)})" if facts else "")]
    for name, peer in part["peers"].items():
        words = f"    {name:<{width}}  wall {peer['wall_s']:8.3f} s  CPU {peer['cpu_s']:8.3f} s"
        if "per_cpu_s" in peer:
            words += f"  {peer['per_cpu_s']:>12,.1f} {work['unit']}/CPU s"
        if "peak_mb" in peer:
            words += f"  peak {peer['peak_mb']:,.0f} MB (+{peer['added_mb']:,.0f})"
        lines.append(words)
    for item in part["ratios"]:
        lines.append(
            f"    {item['of']} / {item['to']}: {item['value']:.2f} x {_NAMES[item['figure']]}"
            f" ({item['low']:.2f} to {item['high']:.2f})"
        )
    for item in part["limits"]:
        word = "within" if item["ok"] else "OVER"
        lines.append(f"    {item['what']}: {item['value']:g} {item['unit']}, {word} {item['limit']:g}")
    return lines


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _short(value) if isinstance(value, float) else value for name, value in values.items()}


def _short(value: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{value:.4g}")
