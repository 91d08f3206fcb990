"""``mozhu registry rescan``: rebuild the rows from the sidecars on disk."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.platform.catalog.views import DatasetRescan, RescanReport
from mozhu.specs.registry import RescanSpec


def act(call: Call) -> int:
    report: RescanReport = answer(call)
    counts = {name: getattr(report, name) for name in ("models", "versions")}
    lists = {name: len(getattr(report, name)) for name in ("added", "gone", "failed", "refused")}
    words = text("registry.rescan.done", **counts, **lists)
    if report.datasets.versions or report.datasets.gone:
        words += "\n" + _datasets(report.datasets)
    call.output.data(report.to_json(), words)
    for refused in report.refused:
        call.output.say(f"  {refused.path}: {refused.reason}")
    return 0


def _datasets(found: DatasetRescan) -> str:
    lists = {name: len(getattr(found, name)) for name in ("added", "gone", "failed")}
    return text("registry.rescan.datasets", datasets=found.datasets, versions=found.versions, **lists)


COMMAND = Command("registry rescan", act, RescanSpec, switches=("dry_run",))
