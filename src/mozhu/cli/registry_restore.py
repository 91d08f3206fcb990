"""``mozhu registry restore NAME``: a version or a whole model comes out of the trash."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.specs.registry import RestoreSpec


def act(call: Call) -> int:
    answer(call)
    name = call.spec.name
    words = text("registry.restore.would" if call.dry_run else "registry.restore.done", name=name)
    call.output.data({"restored": name, "dry_run": call.dry_run}, words)
    return 0


COMMAND = Command(
    "registry restore", act, RestoreSpec, switches=("dry_run",), words=1, first_word="name", usage="NAME"
)
