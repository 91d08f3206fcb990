"""``mozhu runs stop FOLDER``: ask a running run to save and stop."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.kernel.errors import BadUsage
from mozhu.kernel.texts import text
from mozhu.workspace.launch import stop_run
from mozhu.workspace.runs import RunFolder


def act(call: Call) -> int:
    if not call.words:
        raise BadUsage(verb="runs stop", reason=text("cli.needs_folder", verb="runs stop"))
    folder = Path(call.words[0])
    if call.dry_run:
        state = RunFolder.open(folder).state()
        call.output.data({"run": str(folder), "state": state}, text(f"runs.state.{state}"))
        return 0
    asked = stop_run(folder)
    words = text("runs.stopping" if asked else "runs.not_running", path=folder)
    call.output.data({"run": str(folder), "asked": asked}, words)
    return 0


COMMAND = Command("runs stop", act, switches=("dry_run",), words=1, usage="FOLDER")
