"""``mozhu registry edit NAME``: what is said of a model or a data set, and of a version, in other words."""

from __future__ import annotations

from mozhu.cli.asks import answer, group_of
from mozhu.cli.command import Call, Command
from mozhu.kernel.errors import BadUsage
from mozhu.kernel.texts import text
from mozhu.specs.registry import EditSpec


def act(call: Call) -> int:
    changed = call.spec.model_dump(exclude={"name", "server"}, exclude_none=True)
    if not changed:
        raise BadUsage(verb=f"{group_of(call)} edit", reason=text("registry.edit.nothing"))
    answer(call)
    name, fields = call.spec.name, ", ".join(changed)
    call.output.data({"name": name, "changed": changed}, text("registry.edit.done", name=name, fields=fields))
    return 0


COMMAND = Command("registry edit", act, EditSpec, words=1, first_word="name", usage="NAME[:VERSION]")
