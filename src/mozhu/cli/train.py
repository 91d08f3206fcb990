"""``mozhu train``: check, forecast, and run or resume a training in a process of its own."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import follow, shown, start, summary
from mozhu.cli.forecast_view import forecast_lines
from mozhu.display.progress import finding_text
from mozhu.kernel import slots
from mozhu.kernel.texts import text
from mozhu.planning import check_plan, plan_training, warm_process
from mozhu.references import with_references
from mozhu.specs.train import TrainSpec
from mozhu.workspace.places import fresh_run_folder, training_folder, with_absolute_paths
from mozhu.workspace.runs import SPEC, make_run


def act(call: Call) -> int:
    workspace = call.home
    spec: TrainSpec = with_absolute_paths(with_references(call.spec, workspace))
    folder = training_folder(spec, workspace)
    if call.dry_run:
        return show_plan(call, spec, folder)
    if not (folder / SPEC).exists():
        _fetch(call, spec)
    # Nobody stays beside a detached run to begin it anew where a warm process could not.
    warming = nullcontext() if call.switches.get("detach") else warm_process(spec)
    with warming as warm:
        if not (folder / SPEC).exists():  # a run that was begun has passed its checks
            _check(call, spec, folder)
        run, result = start(call, spec, folder, warm)
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
    findings, forecast = plan_training(spec, folder, call.origins)
    value: dict[str, Any] = {
        "spec": spec.model_dump(mode="json"),
        "origins": call.origins,
        "run": str(folder),
        "findings": [finding.to_json() for finding in findings],
        "forecast": forecast.to_json() if forecast else None,
    }
    lines = [finding_text(finding.to_json()) for finding in findings if finding.level != "error"]
    if forecast:
        lines += forecast_lines(forecast)
    if spec.world_size > 1:
        lines.append(_total_batch(spec))
    if spec.nodes > 1:
        nodes = _nodes(call, spec)
        value["nodes"] = nodes
        lines += _node_lines(nodes)
    lines.append(text("runs.nothing_written", path=shown(folder)))
    if call.output.as_json and any(finding.level == "error" for finding in findings):
        check_plan(findings)  # the error object is the one JSON document then
    call.output.data(value, "\n".join(lines))
    check_plan(findings)
    return 0


def _total_batch(spec: TrainSpec) -> str:
    parts = {"batch": spec.batch_size, "steps": spec.gradient_accumulation_steps}
    processes = spec.world_size // spec.tensor_parallel
    return text("train.processes.total_batch", total=spec.total_batch, processes=processes, **parts)


def _nodes(call: Call, spec: TrainSpec) -> list[dict[str, Any]]:
    """What to type on each machine."""
    first = training_folder(spec.model_copy(update={"node_rank": 0}), call.home)
    lines: list[dict[str, Any]] = slots.load("mozhu.rooms", "launch_lines")(spec, first)
    return lines


def _node_lines(nodes: list[dict[str, Any]]) -> list[str]:
    lines = [text("train.processes.lines")]
    for node in nodes:
        lines += [f"  {node['command']}", text("train.processes.same_as", line=node["torchrun"])]
    return lines


def _fetch(call: Call, spec: TrainSpec) -> None:
    """A model that is not here comes from the hub that the settings allow, in a run of its own."""
    missing = slots.load("mozhu.rooms", "wanted_from_hub")(spec.model)
    if missing is not None:
        follow(call, make_run(missing, {}, fresh_run_folder(missing, call.home)))


def _check(call: Call, spec: TrainSpec, folder: Path) -> None:
    """Stop on errors; say the rest, and the forecast's first line."""
    findings, forecast = plan_training(spec, folder, call.origins)
    check_plan(findings)
    if not call.quiet:
        for finding in findings:
            call.output.say(finding_text(finding.to_json()))
        if forecast:
            call.output.say(forecast_lines(forecast)[0])


COMMAND = Command("train", act, TrainSpec, switches=("dry_run", "quiet", "detach"))
