"""Commands that run an engine verb in a run folder of its own and leave their results where the spec says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import start, summary
from mozhu.cli.preview_view import preview_lines
from mozhu.kernel import slots
from mozhu.kernel.paths import Workspace
from mozhu.references import with_references
from mozhu.specs.base import Spec
from mozhu.specs.records.result import Result
from mozhu.workspace.extensions import load_extensions
from mozhu.workspace.places import fresh_run_folder, with_absolute_paths

Next = Callable[[Spec, Result], Sequence[str]]
Scores = Callable[[Path, Result], Sequence[str]]
# What a command does when its run has ended well: a value for JSON, and words.
Afterwards = Callable[[Call, Spec, Result], tuple[dict[str, Any], str]]


def engine_command(
    name: str,
    spec: type[Spec],
    next_commands: Next,
    scores: Scores | None = None,
    *,
    afterwards: Afterwards | None = None,
    preview: str | None = None,
    refused_first: bool = False,
    first_word: str = "",
    usage: str = "",
) -> Command:
    """A command that runs ``spec``; ``next_commands`` says what to type after it, ``scores`` how metrics are shown.

    Args:
        preview: The room that tells, without a weight read, which files the run would write.
        refused_first: Ask that room before every run, so that what cannot be done is refused at once and no run
            folder is made.
    """

    def act(call: Call) -> int:
        workspace = call.home
        asked = with_absolute_paths(with_references(call.spec, workspace))
        named = getattr(asked, "output_dir", None) if "output_dir" in spec.not_part_of_the_run else None
        folder = (
            Path(named) if named and name in ("evaluate", "inspect") else fresh_run_folder(asked, workspace)
        )
        plan = _preview(preview, asked, workspace) if preview and (call.dry_run or refused_first) else None
        if call.dry_run:
            value = {"spec": asked.model_dump(mode="json"), "origins": call.origins, "run": str(folder)}
            call.output.data(
                value if plan is None else {**value, "would_write": plan.to_json()},
                "" if plan is None else "\n".join(preview_lines(plan)),
            )
            return 0
        run, result = start(call, asked, folder)
        if result is None:
            call.output.data({"run": str(run.path)}, None)
            return 0
        shown = scores(run.path, result) if scores else None
        words = summary(run, result, next_commands(asked, result), shown)
        more, said = afterwards(call, asked, result) if afterwards else ({}, "")
        call.output.data({"run": str(run.path), **result.to_json(), **more}, f"{words}\n{said}".rstrip())
        return 0

    switches = ("dry_run", "quiet", "detach")
    return Command(
        name, act, spec, switches=switches, words=int(bool(first_word)), first_word=first_word, usage=usage
    )


def _preview(room: str, spec: Spec, workspace: Workspace) -> Any:
    load_extensions(workspace)
    return slots.load("mozhu.rooms", room)(spec)
