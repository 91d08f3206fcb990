"""``mozhu registry copy NAME --to OWN``: a model, or a data set, that one may use becomes one's own."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.specs.registry import CopySpec


def act(call: Call) -> int:
    copies = answer(call)
    words = text("registry.copy.done", name=call.spec.name, copies=", ".join(copies))
    call.output.data({"copied": call.spec.name, "copies": copies}, words)
    return 0


COMMAND = Command("registry copy", act, CopySpec, words=1, first_word="name", usage="NAME[:VERSION] --to OWN")
