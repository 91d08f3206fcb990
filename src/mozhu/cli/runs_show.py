"""``mozhu runs show FOLDER``: what was asked, how it went, what it made."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import summary
from mozhu.display.progress import describe_event, describe_step
from mozhu.kernel.errors import BadUsage
from mozhu.kernel.texts import text
from mozhu.workspace.runs import RunFolder


def act(call: Call) -> int:
    if not call.words:
        raise BadUsage(verb="runs show", reason=text("cli.needs_folder", verb="runs show"))
    run = RunFolder.open(Path(call.words[0]))
    request, result, state = run.request(), run.result(), run.state()
    value = {"spec": request.to_json(), "state": state, "result": result.to_json() if result else None}
    lines = [f"{request.run}  {request.verb}  {text('runs.state.' + state)}  {request.created}"]
    for name, field in request.fields.items():
        if field not in (None, [], ""):
            lines.append(f"  {name} = {field}  ({request.origins.get(name, '')})")
    lines += [f"  {line}" for event in run.events()[-200:] if (line := describe_event(event))]
    steps = [event for event in run.events() if event["kind"] == "step"]
    if steps:
        lines.append(f"  {steps[-1]['step']}/{steps[-1].get('total', '')} {describe_step(steps[-1])}")
    if result and result.state == "succeeded":
        lines.append(summary(run, result))
    elif result and result.error:
        lines.append(f"  {result.error.get('code')}: {result.error.get('message')}")
    call.output.data(value, "\n".join(lines))
    return 0


COMMAND = Command("runs show", act, words=1, usage="FOLDER")
