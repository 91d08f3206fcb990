"""``mozhu registry alias NAME:VERSION --alias ALIAS``: ``NAME@ALIAS`` is that version from now on."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.platform.catalog.kept import name_of
from mozhu.specs.registry import AliasSpec


def act(call: Call) -> int:
    there, model = answer(call), name_of(call.spec.name)
    words = [
        text("registry.alias.line", name=model, alias=one["name"], reference=one["reference"])
        for one in there
    ]
    value = {"dry_run": call.dry_run, "aliases": there}
    call.output.data(value, "\n".join(words) or text("registry.alias.none", name=model))
    return 0


COMMAND = Command(
    "registry alias",
    act,
    AliasSpec,
    switches=("dry_run",),
    words=1,
    first_word="name",
    usage="NAME:VERSION --alias ALIAS",
)
