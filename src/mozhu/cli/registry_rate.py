"""``mozhu registry rate NAME --stars 5``: what one thinks of a model, and what all think."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.specs.registry import RateSpec


def act(call: Call) -> int:
    rating, name = answer(call), call.spec.name
    if rating["count"]:
        words = text("registry.rate.mean", name=name, mean=f"{rating['mean']:.1f}", count=rating["count"])
    else:
        words = text("registry.rate.none", name=name)
    call.output.data({"name": name, **rating}, words)
    return 0


COMMAND = Command("registry rate", act, RateSpec, words=1, first_word="name", usage="NAME --stars N")
