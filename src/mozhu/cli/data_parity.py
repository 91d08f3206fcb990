"""``mozhu data parity``: whether training, asking and every copy give the same tokens; exit 5 when they do not."""

from __future__ import annotations

from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.kernel import slots
from mozhu.kernel.errors import ParityBroken
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.data import ParitySpec


def act(call: Call) -> int:
    spec: ParitySpec = with_references(call.spec, call.home)
    report: Any = slots.load("mozhu.rooms", "parity")(spec)
    broken = report.broken(spec.accept)
    call.output.data({**report.to_json(), "accepted": list(spec.accept)}, "\n".join(_lines(report, broken)))
    return ParityBroken.exit_code if broken else 0


def _lines(report: Any, broken: list[Any]) -> list[str]:
    numbers = {"rows": report.rows, "turns": report.turns, "seconds": f"{report.seconds:.1f}"}
    lines = []
    if broken:
        lines += [text("data.parity.broken", count=len(broken), **numbers)]
        lines += [f"  {text('data.parity.sides', sides=', '.join(report.sides))}"]
    else:
        lines += [text("data.parity.holds", sides=", ".join(report.sides), **numbers)]
    if report.refused:
        lines.append(f"  {text('data.parity.refused', count=report.refused)}")
    for finding in report.findings:
        level = finding.level if finding.level != "error" or finding in broken else "warning"
        lines += ["", f"{text('progress.level.' + level)} {finding.code}: {finding.words}"]
        lines += _where(finding)
        if finding.level == "error":
            lines.append(f"  {text('cli.next')}: {_next(finding)}")
    lines += ["", text("data.parity.stops")]
    for place, stops in report.stops.items():
        lines += [f"  {place}", *(f"    {name}: {tokens}" for name, tokens in stops.items())]
    return lines


def _where(finding: Any) -> list[str]:
    """The text before the first difference, and which further rows have it."""
    if not finding.differences:
        return []
    first, *others = finding.differences
    lines = [f"  {text('data.parity.after')}: {first.before!r}"] if first.before else []
    rows = [f"{item.row} ({item.turn or 1}:{item.position})" for item in others]
    return lines + ([f"  {text('data.parity.also', rows=', '.join(rows))}"] if rows else [])


def _next(finding: Any) -> str:
    return text(f"data.{finding.code}.next", **{name: str(value) for name, value in finding.params.items()})


COMMAND = Command("data parity", act, ParitySpec)
