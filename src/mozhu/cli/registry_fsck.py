"""``mozhu registry fsck``: everything that is wrong with the store; exit 3 when something is and was not put right."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.display.amounts import showing
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.platform.storage.fsck import StoreReport
from mozhu.platform.uploads.upkeep import registry_fsck
from mozhu.specs.registry import FsckSpec


def act(call: Call) -> int:
    with showing("storage.fsck.progress", quiet=call.quiet) as on_progress:
        spec = call.spec.model_copy(update={"repair": call.spec.repair and not call.dry_run})
        report = registry_fsck(call.home.root, spec, on_progress=on_progress)
    call.output.data(report.to_json(), "\n".join(_lines(report)))
    return report.exit_code


def _lines(report: StoreReport) -> list[str]:
    """The verdict, then every finding."""
    numbers = {"store": report.store, "blobs": report.blobs, "size": human_size(report.size_bytes)}
    if not report.findings:
        return [text("storage.fsck.sound", **numbers)]
    repaired = len(report.findings) - len(report.open_findings)
    head = text("storage.fsck.found", **numbers, count=len(report.findings), repaired=repaired)
    return [head, *(f"  {text('registry.level.' + item.level)}: {item.line()}" for item in report.findings)]


COMMAND = Command("registry fsck", act, FsckSpec, switches=("dry_run",))
