"""``mozhu registry share NAME``: who may do what with a model, told and changed."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.specs.registry import ShareSpec

_COLUMNS = ("whom", "right")


def act(call: Call) -> int:
    shares = answer(call)
    if not shares and not call.output.as_json:
        call.output.say(text("registry.share.none", name=call.spec.name))
        return 0
    rows = [(share["subject"], text(f"registry.right.{share['right']}")) for share in shares]
    columns = [text(f"registry.column.{name}") for name in _COLUMNS]
    call.output.table(columns, rows, value={"name": call.spec.name, "shares": shares})
    return 0


COMMAND = Command("registry share", act, ShareSpec, words=1, first_word="name", usage="NAME")
