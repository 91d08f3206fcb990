"""``mozhu registry gc``: contents that nobody needs are gone, and their bytes come back."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.display.amounts import showing
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.platform.uploads.upkeep import registry_gc
from mozhu.specs.registry import GcSpec


def act(call: Call) -> int:
    with showing("storage.gc.progress", quiet=call.quiet, are_bytes=False) as on_progress:
        done = registry_gc(call.home.root, call.spec, keep=call.dry_run, on_progress=on_progress)
    words = text(
        "storage.gc.would" if call.dry_run else "storage.gc.done",
        size=human_size(done.returned_bytes),
        blobs=done.blobs,
        purged=done.versions_purged,
        uploads=done.uploads_expired,
        leftovers=human_size(done.leftover_bytes),
        young=done.kept_young,
    )
    call.output.data({"dry_run": call.dry_run, **done.to_json()}, words)
    return 0


COMMAND = Command("registry gc", act, GcSpec, switches=("dry_run",))
