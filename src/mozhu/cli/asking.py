"""A question before something that is hard to take back."""

from __future__ import annotations

import sys

from mozhu.cli.command import Call
from mozhu.kernel.errors import BadUsage
from mozhu.kernel.texts import text

_YES = {"y", "yes", "是", "好"}


def is_meant(call: Call, verb: str, question: str) -> bool:
    """Whether the person says yes; ``--yes`` says it beforehand, and has to where nobody can be asked.

    Raises:
        BadUsage: CLI-003, there is no terminal to ask at.
    """
    if call.switches.get("yes"):
        return True
    if not sys.stdin.isatty():
        raise BadUsage(verb=verb, reason=text("registry.needs_yes", question=question))
    call.output.say(f"{question} (y/N)")
    return sys.stdin.readline().strip().lower() in _YES
