"""``mozhu runs list``: the runs of this workspace, newest first."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.texts import text
from mozhu.workspace.runs import RunFolder, run_folders


def act(call: Call) -> int:
    rows = [_row(run) for run in run_folders(call.workspace)]
    columns = [text(f"runs.column.{name}") for name in ("name", "verb", "state", "created", "loss", "path")]
    table = [[row[name] for name in ("run", "verb", "state", "created", "loss", "path")] for row in rows]
    if not rows and not call.output.as_json:
        call.output.say(text("runs.none"))
        return 0
    call.output.table(columns, table, value=rows)
    return 0


def _row(run: RunFolder) -> dict[str, object]:
    """A run in one row; a damaged one is shown as such, not hidden."""
    try:
        request, state = run.request(), run.state()
        result = run.result()
    except MozhuError as error:
        return {
            "run": run.path.name,
            "verb": "",
            "state": error.code,
            "created": "",
            "loss": "",
            "path": str(run.path),
        }
    metric = result.metrics.get("eval_loss") or result.metrics.get("train_loss") if result else None
    return {
        "run": request.run,
        "verb": request.verb,
        "state": text(f"runs.state.{state}") if state else "",
        "created": request.created,
        "loss": f"{metric.value:.4f}" if metric and isinstance(metric.value, float) else "",
        "path": shown(run.path),
    }


COMMAND = Command("runs list", act)
