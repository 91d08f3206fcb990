"""``mozhu shell``: a Python prompt in which the workspace's ``1_utils`` import by their flat names."""

from __future__ import annotations

import code
import sys

from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text


def act(call: Call) -> int:
    workspace = call.home
    for name in ("3_agents", "2_core", "1_utils"):
        sys.path.insert(0, str(workspace.root / name))
    code.interact(banner=text("cli.shell_banner"), exitmsg="", local={"workspace": workspace})
    return 0


COMMAND = Command("shell", act)
