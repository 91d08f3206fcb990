"""``mozhu run FOLDER``: carry out, or go on with, the run that lies in a folder, in this process."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import follow, summary
from mozhu.kernel.errors import BadUsage, RunCancelled
from mozhu.kernel.texts import text
from mozhu.workspace.execute import execute
from mozhu.workspace.launch import RunFailed
from mozhu.workspace.runs import RunFolder


def act(call: Call) -> int:
    if not call.words:
        raise BadUsage(verb="run", reason=text("cli.needs_folder", verb="run"))
    folder = Path(call.words[0])
    run = RunFolder.open(folder)
    if call.dry_run:
        request = run.request()
        words = f"{request.verb} {request.run}: {text('runs.state.' + run.state())}"
        call.output.data({"state": run.state(), "spec": request.to_json()}, words)
        return 0
    if not call.switches.get("quiet"):  # a person: the engine runs apart, so that its noise stays in its log
        done = run.result()
        if done and done.state == "succeeded":
            call.output.say(text("progress.already_done", path=folder))
            result = done
        else:
            result = follow(call, run)
        call.output.data(result.to_json(), summary(run, result))
        return 0
    result = execute(folder.absolute())
    if result.state == "cancelled":
        raise RunCancelled(path=str(folder))
    if result.error is not None:
        raise RunFailed(result.error)
    return 0


COMMAND = Command("run", act, switches=("dry_run", "quiet"), words=1, usage="FOLDER")
