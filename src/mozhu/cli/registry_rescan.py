"""``mozhu registry rescan``: rebuild the rows from the sidecars on disk."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.platform.catalog.service import registry_rescan
from mozhu.specs.registry import RescanSpec


def act(call: Call) -> int:
    root = call.home.root
    report = registry_rescan(root, call.spec, keep=not call.dry_run)
    counts = {name: getattr(report, name) for name in ("models", "versions")}
    lists = {name: len(getattr(report, name)) for name in ("added", "gone", "failed", "refused")}
    call.output.data(report.to_json(), text("registry.rescan.done", **counts, **lists))
    for refused in report.refused:
        call.output.say(f"  {refused.path}: {refused.reason}")
    return 0


COMMAND = Command("registry rescan", act, RescanSpec, switches=("dry_run",))
