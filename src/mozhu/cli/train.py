"""``mozhu train``: check, forecast, and run or resume a training in a process of its own."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown, start, summary
from mozhu.cli.forecast_view import forecast_lines, plan
from mozhu.display.progress import finding_text
from mozhu.kernel.errors import MozhuError, PreflightFailed, error_class
from mozhu.kernel.files import human_size
from mozhu.kernel.paths import Workspace, workspace_or_here
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec
from mozhu.workspace.places import training_folder, with_absolute_paths
from mozhu.workspace.runs import SPEC


def act(call: Call) -> int:
    workspace = workspace_of(call)
    spec: TrainSpec = with_absolute_paths(with_references(call.spec, workspace))
    folder = training_folder(spec, workspace)
    if call.dry_run:
        return show_plan(call, spec, folder)
    if not (folder / SPEC).exists():  # a run that was begun has passed its checks
        _check(call, spec, folder)
    run, result = start(call, spec, folder)
    if result is None:
        call.output.data({"run": str(run.path)}, None)
        return 0
    commands = [
        f"mozhu infer --checkpoint {shown(run.path)} --mode interactive",
        f"mozhu runs show {shown(run.path)}",
    ]
    call.output.data({"run": str(run.path), **result.to_json()}, summary(run, result, commands))
    return 0


def show_plan(call: Call, spec: TrainSpec, folder: Path) -> int:
    """Preflight and forecast, and nothing written; exit 0 when nothing stands against the run."""
    findings, forecast = plan(spec, folder)
    errors = [finding for finding in findings if finding.level == "error"]
    value = {
        "spec": spec.model_dump(mode="json"),
        "origins": call.origins,
        "run": str(folder),
        "findings": [finding.to_json() for finding in findings],
        "forecast": forecast.to_json() if forecast else None,
    }
    lines = [*(finding_text(finding.to_json()) for finding in findings)]
    if forecast:
        lines += forecast_lines(forecast)
    lines.append(text("runs.nothing_written", path=shown(folder)))
    call.output.data(value, "\n".join(lines))
    if errors:
        raise _failed(errors)
    return 0


def _check(call: Call, spec: TrainSpec, folder: Path) -> None:
    """Stop on errors; say warnings, and the forecast where it will not fit."""
    findings, forecast = plan(spec, folder)
    errors = [finding for finding in findings if finding.level == "error"]
    if errors:
        raise _failed(errors)
    if forecast and not forecast.fits:
        params = {
            "need": human_size(forecast.peak_memory_bytes),
            "free": human_size(forecast.memory_free_bytes),
        }
        findings.append(Finding("warning", "TRAIN-037", params))
    if not call.quiet:
        for finding in findings:
            call.output.say(finding_text(finding.to_json()))
        if forecast:
            call.output.say(forecast_lines(forecast)[0])


def _failed(errors: list[Finding]) -> MozhuError:
    """The one error there is, as itself; several as one list with the exit code of the first."""
    known = error_class(errors[0].code)
    if known is not None and len(errors) == 1:
        return known(**errors[0].params)
    words = "\n  ".join(finding_text(finding.to_json()) for finding in errors)
    failed = PreflightFailed(problems=words, codes=[finding.code for finding in errors])
    if known is not None:
        failed.exit_code = known.exit_code  # type: ignore[misc]
    return failed


def workspace_of(call: Call) -> Workspace:
    return call.workspace or workspace_or_here()


COMMAND = Command("train", act, TrainSpec, switches=("dry_run", "quiet", "detach"))
