"""``mozhu registry lineage NAME``: where it came from and what came from it, as a tree."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.display.family import family_lines
from mozhu.specs.registry import LineageSpec


def act(call: Call) -> int:
    family = answer(call)
    call.output.data(family, "\n".join(family_lines(family)))
    return 0


COMMAND = Command("registry lineage", act, LineageSpec, words=1, first_word="name", usage="NAME[:VERSION]")
