"""``mozhu registry suggest NAME``: what the naming rules say, and the name of the next version."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.specs.registry import SuggestSpec


def act(call: Call) -> int:
    told = answer(call)
    lines = [text("registry.suggest.next", version=told["version"])]
    lines += [f"- {advice['words']}" for advice in told["advice"]] or [text("registry.suggest.fine")]
    call.output.data({"name": call.spec.name, **told}, "\n".join(lines))
    return 0


COMMAND = Command("registry suggest", act, SuggestSpec, words=1, first_word="name", usage="NAME[:VERSION]")
