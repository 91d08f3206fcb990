"""``mozhu forecast``: the plan of a training without running it."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.cli.train import show_plan
from mozhu.references import with_references
from mozhu.specs.train import TrainSpec
from mozhu.workspace.places import training_folder, with_absolute_paths


def act(call: Call) -> int:
    workspace = call.home
    spec: TrainSpec = with_absolute_paths(with_references(call.spec, workspace))
    return show_plan(call, spec, training_folder(spec, workspace))


COMMAND = Command("forecast", act, TrainSpec)
