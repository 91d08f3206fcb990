"""``mozhu registry delete NAME``: a version or a whole model goes into the trash."""

from __future__ import annotations

from mozhu.cli.asking import is_meant
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.platform.catalog.models import Models
from mozhu.specs.registry import DeleteSpec


def act(call: Call) -> int:
    name, force = call.spec.name, call.spec.force
    with Models(call.home.root) as models:
        gone = models.delete(name, force=force, keep=False)
        shown = ", ".join(gone)
        if call.dry_run:
            call.output.data({"would_delete": list(gone)}, text("registry.delete.would", versions=shown))
            return 0
        if not is_meant(call, "registry delete", text("registry.delete.question", versions=shown)):
            return 0
        gone = models.delete(name, force=force)
    call.output.data(
        {"deleted": list(gone)}, text("registry.delete.done", versions=", ".join(gone), name=name)
    )
    return 0


COMMAND = Command(
    "registry delete", act, DeleteSpec, switches=("dry_run", "yes"), words=1, first_word="name", usage="NAME"
)
