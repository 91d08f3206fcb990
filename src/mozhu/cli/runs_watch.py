"""``mozhu runs watch FOLDER``: the progress of a run that another process carries out."""

from __future__ import annotations

import time
from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.display.progress import open_view
from mozhu.kernel.errors import BadUsage
from mozhu.kernel.progress import EventTail
from mozhu.kernel.texts import text
from mozhu.workspace.runs import EVENTS, RunFolder

_POLL_S = 0.3


def act(call: Call) -> int:
    if not call.words:
        raise BadUsage(verb="runs watch", reason=text("cli.needs_folder", verb="runs watch"))
    run = RunFolder.open(Path(call.words[0]))
    view = open_view(quiet=call.quiet)
    tail = EventTail(run.path / EVENTS)
    try:
        while True:
            running = run.is_locked()
            for event in tail.read():
                view.show(event)
            if not running:
                break
            time.sleep(_POLL_S)
    finally:
        view.close()
    state = run.state()
    call.output.data({"run": str(run.path), "state": state}, text(f"runs.state.{state}"))
    return 0


COMMAND = Command("runs watch", act, switches=("quiet",), words=1, usage="FOLDER")
