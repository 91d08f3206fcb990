"""``mozhu registry delete NAME``: a version or all of a model, or of a data set, goes into the trash."""

from __future__ import annotations

from mozhu.cli.asking import is_meant
from mozhu.cli.asks import answer, group_of
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.specs.registry import DeleteSpec


def act(call: Call) -> int:
    group, gone = group_of(call), answer(call, keep=False)
    shown = ", ".join(gone)
    if call.dry_run:
        call.output.data({"would_delete": gone}, text("registry.delete.would", versions=shown))
        return 0
    if not is_meant(call, f"{group} delete", text("registry.delete.question", versions=shown)):
        call.output.data({"deleted": []}, text("registry.delete.not_done"))
        return 0
    gone = answer(call)
    words = text("registry.delete.done", versions=", ".join(gone), name=call.spec.name, group=group)
    call.output.data({"deleted": gone}, words)
    return 0


COMMAND = Command(
    "registry delete", act, DeleteSpec, switches=("dry_run", "yes"), words=1, first_word="name", usage="NAME"
)
