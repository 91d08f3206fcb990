"""``mozhu tools --check_env``: seed 002's check of the environment; the same as ``mozhu doctor``."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.cli.doctor import act as check
from mozhu.kernel.errors import BadUsage
from mozhu.kernel.texts import text


def act(call: Call) -> int:
    if not call.switches.get("check_env"):
        raise BadUsage(verb="tools", reason=text("doctor.name_a_tool"))
    return check(call)


COMMAND = Command("tools", act, switches=("check_env",))
