"""What all commands that start a run share: make or find the run folder, run it apart, show it, say what came of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mozhu.cli.command import Call
from mozhu.display.progress import open_view
from mozhu.kernel.errors import RunCancelled
from mozhu.kernel.files import human_size
from mozhu.kernel.progress import Emit, iso_time, utc_now
from mozhu.kernel.texts import text
from mozhu.specs.base import Spec
from mozhu.specs.records.result import Result
from mozhu.workspace.launch import RunProcess, raise_failure, run_to_end
from mozhu.workspace.runs import RunFolder, make_run
from mozhu.workspace.warm import WarmProcess


def start(
    call: Call, spec: Spec, folder: Path, warm: WarmProcess | None = None
) -> tuple[RunFolder, Result | None]:
    """Run ``spec`` in ``folder`` and follow it; with ``--detach`` return at once without a result.

    Raises:
        The run's own error when it fails; RunCancelled: RUN-004 when it was stopped.
    """
    run = make_run(spec, call.origins, folder)
    done = run.result()
    if done and done.state == "succeeded":
        call.output.say(text("progress.already_done", path=shown(folder)))
        return run, done
    if call.switches.get("detach"):
        process = RunProcess(run)
        call.output.say(text("progress.detached", pid=process.pid, path=shown(folder)))
        return run, None
    if not call.quiet:
        call.output.say(text("progress.started", path=shown(folder)))
    return run, follow(call, run, warm)


@contextmanager
def watched_here(call: Call) -> Iterator[Emit]:
    """Takes the events of work that is done in this process, and shows them."""
    view = open_view(quiet=call.quiet)

    def emit(kind: str, **fields: Any) -> None:
        view.show({"kind": kind, "t": iso_time(utc_now()), **fields})

    try:
        yield emit
    finally:
        view.close()


def follow(call: Call, run: RunFolder, warm: WarmProcess | None = None) -> Result:
    """Run ``run`` to its end in a process of its own, showing its events."""
    view = open_view(quiet=call.quiet)
    try:
        result = run_to_end(run, view.show, warm)
    finally:
        view.close()
    if result.state == "cancelled":
        raise RunCancelled(path=shown(run.path))
    raise_failure(result)
    return result


def summary(
    run: RunFolder, result: Result, next_commands: Sequence[str] = (), scores: Sequence[str] | None = None
) -> str:
    """What was made, where it lies, what was measured (``scores`` where given), and what to type next."""
    lines = [text("runs.done", name=run.path.name, seconds=f"{result.seconds:.1f}")]
    for artefact in result.artefacts:
        place = run.path / artefact.path
        lines.append(f"  {artefact.kind}: {shown(place)}")
    for name, metric in result.metrics.items() if scores is None else ():
        value = metric.value
        lines.append(f"  {name}: {value:.4f}" if isinstance(value, float) else f"  {name}: {value}")
    lines += scores or ()
    if memory := result.details.get("peak_memory_bytes"):
        lines.append(f"  {text('runs.peak_memory')}: {human_size(memory)}")
    if speed := result.details.get("tokens_per_s"):
        lines.append(f"  {text('runs.speed')}: {speed:,.0f} tok/s")
    if (run.path / "report.html").is_file():
        lines.append(f"  {text('runs.report')}: {shown(run.path / 'report.html')}")
    if next_commands:
        lines += [text("runs.next"), *(f"  {command}" for command in next_commands)]
    return "\n".join(lines)


def would_write(call: Call, paths: Sequence[Path]) -> int:
    """What ``--dry_run`` says of a command that only writes files; nothing is written."""
    names = [shown(path) for path in paths]
    call.output.data({"would_write": names}, text("runs.would_write", paths=", ".join(names)))
    return 0


def shown(path: Path) -> str:
    """``path`` as a person would type it: relative where it lies below the current folder."""
    path = Path(os.path.normpath(path))
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
