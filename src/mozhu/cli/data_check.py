"""``mozhu data check``: what is wrong with which row, and what is there twice; exit 3 when there are errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.markup import escape

from mozhu.cli.command import Call, Command
from mozhu.kernel import slots
from mozhu.kernel.errors import DataError
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.data import CheckSpec

_SHOWN_PLACES = 3


def act(call: Call) -> int:
    spec: CheckSpec = with_references(call.spec, call.home)
    report: Any = slots.load("mozhu.rooms", "check")(spec)
    columns = [text(f"data.check.{name}") for name in ("code", "level", "count", "what", "places", "excerpt")]
    rows = [_row(code, count, report.findings) for code, count in report.counts().items()]
    if rows or call.output.as_json:
        call.output.table(columns, rows, value=report.to_json())
    if not call.output.as_json:
        print(("\n" if rows else "") + "\n".join(_summary(spec, report)))
    return DataError.exit_code if report.errors else 0


def _row(code: str, count: int, findings: Iterable[Any]) -> list[str]:
    found = [finding for finding in findings if finding.code == code]
    first = found[0]
    places = [f"{finding.file}:{finding.line} ({finding.field})" for finding in found[:_SHOWN_PLACES]]
    more = [" …"] if count > _SHOWN_PLACES else []
    level = text(f"progress.level.{first.level}")
    return [
        code,
        level,
        str(count),
        *(escape(cell) for cell in (first.reason, "\n".join(places + more), first.excerpt)),
    ]


def _summary(spec: CheckSpec, report: Any) -> list[str]:
    total = sum(report.rows.values())
    parts = ", ".join(f"{part} {rows}" for part, rows in report.rows.items())
    numbers = {"rows": total, "parts": parts, "count": report.total, "errors": report.errors}
    lines = [text("data.check.summary" if report.findings else "data.check.clean", **numbers)]
    for ref, rows in report.against.items():
        lines.append(text("data.check.compared", path=ref, rows=rows))
    if report.unlisted and not spec.report:
        lines.append(text("data.check.unlisted", count=report.unlisted))
    if spec.report:
        lines.append(text("data.check.written", path=spec.report))
    elif report.findings:
        lines.append(f"{text('cli.next')}: {text('data.check.next', dataset=spec.dataset)}")
    return lines


COMMAND = Command("data check", act, CheckSpec)
