"""The plan of a training before it starts: what stands against it, and what it will take."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from mozhu.display.progress import finding_text
from mozhu.kernel import slots
from mozhu.kernel.errors import FolderInUse, MozhuError, PreflightFailed, WillNotFit, error_class
from mozhu.kernel.files import human_size
from mozhu.kernel.machine import Machine, describe
from mozhu.kernel.paths import workspace_or_here
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec
from mozhu.specs.train_fields import idle_fields
from mozhu.workspace.extensions import load_extensions
from mozhu.workspace.runs import other_files
from mozhu.workspace.warm import WarmProcess


def plan_training(
    spec: TrainSpec, folder: Path, origins: Mapping[str, str] | None = None
) -> tuple[list[Finding], Any]:
    """Findings and forecast; the forecast is ``None`` where model or data cannot be read (a finding says why).

    ``origins`` (layers.py) tells what was typed: a field that this run would not read is an error then.
    """
    load_extensions(workspace_or_here())  # a workspace's own engine or reader counts here as well
    machine = describe(folder)
    findings: list[Finding] = [
        *_idle_findings(spec, origins or {}),
        *_place_findings(folder),
        *slots.load("mozhu.rooms", "preflight")(spec, machine, folder),
    ]
    try:
        forecast = slots.load("mozhu.rooms", "forecast")(spec, machine)
    except MozhuError:
        return findings, None
    return [*findings, *_memory_findings(forecast, machine)], forecast


def warm_process(spec: TrainSpec) -> AbstractContextManager[WarmProcess | None]:
    """The run's process loads its libraries while the request is checked, where it is one process that needs them."""
    alone = spec.world_size == 1 and spec.strategy != "deepspeed"
    return WarmProcess(spec.engine) if alone and spec.engine == "hf" else nullcontext()


def _place_findings(folder: Path) -> list[Finding]:
    """A run is not made among other files."""
    found = other_files(folder)
    return [Finding("error", FolderInUse.code, {"path": str(folder), "found": found})] if found else []


def check_plan(findings: list[Finding]) -> None:
    """Raise when an error is among ``findings``: the one error there is as itself, several as one list.

    Raises:
        PreflightFailed: TRAIN-005 with the exit code of the first error.
    """
    errors = [finding for finding in findings if finding.level == "error"]
    if not errors:
        return
    known = error_class(errors[0].code)
    if known is not None and len(errors) == 1:
        raise known(**errors[0].params)
    words = "\n  ".join(finding_text(finding.to_json()) for finding in errors)
    failed = PreflightFailed(problems=words, codes=[finding.code for finding in errors])
    if known is not None:
        failed.exit_code = known.exit_code  # type: ignore[misc]
    raise failed


def _idle_findings(spec: TrainSpec, origins: Mapping[str, str]) -> list[Finding]:
    asked = f"--train_type {spec.train_type} --stage {spec.stage}"
    return [
        Finding("error", "TRAIN-054", {"field": f"--{name}", "asked": asked, "read_by": read_by})
        for name, read_by in idle_fields(spec, origins).items()
    ]


def _memory_findings(forecast: Any, machine: Machine) -> list[Finding]:
    """An error when the whole machine is too small, a warning when only the free part is."""
    total = machine.memory_bytes if forecast.device == "cpu" else machine.gpus[0].total_bytes
    params = {"need": human_size(forecast.peak_memory_bytes), "free": human_size(forecast.memory_free_bytes)}
    if forecast.peak_memory_bytes > total:
        return [Finding("error", WillNotFit.code, {**params, "total": human_size(total)})]
    if not forecast.fits:
        return [Finding("warning", "TRAIN-037", params)]
    return []
