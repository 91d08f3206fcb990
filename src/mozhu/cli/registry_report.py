"""``mozhu registry report NAME:VERSION``: the reports of a version; with ``--run FOLDER`` one more."""

from __future__ import annotations

from typing import Any

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.specs.registry import ReportSpec

_COLUMNS = ("kind", "run", "performance", "created", "sha256")


def act(call: Call) -> int:
    reports = answer(call)
    if not reports and not call.output.as_json:
        call.output.say(text("registry.report.none", name=call.spec.name))
        return 0
    rows = [
        (
            text(f"registry.report.{report['kind']}"),
            report["run"],
            _figures(report["metrics"]),
            report["created"][:19],
            report["sha256"][:19],
        )
        for report in reports
    ]
    columns = [text(f"registry.column.{name}") for name in _COLUMNS]
    call.output.table(columns, rows, value={"name": call.spec.name, "reports": reports})
    return 0


def _figures(metrics: dict[str, Any]) -> str:
    values = {name: item.get("value") if isinstance(item, dict) else item for name, item in metrics.items()}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, (int, float)) else f"{name} {value}"
        for name, value in values.items()
    )


COMMAND = Command("registry report", act, ReportSpec, words=1, first_word="name", usage="NAME[:VERSION]")
