"""``mozhu data prepare``: raw rows checked, converted and split; every rejected row with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mozhu.cli.command import Call
from mozhu.cli.datasets_words import registered_words
from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.kernel import slots
from mozhu.kernel.errors import BadUsage
from mozhu.kernel.texts import text
from mozhu.specs.data import PrepareSpec
from mozhu.specs.datasets import DatasetRegisterSpec
from mozhu.specs.records.result import Result
from mozhu.workspace.places import check_dataset_name


def _next(spec: Any, result: Result) -> Sequence[str]:
    part = Path(spec.output_dir) / spec.output_name
    return [
        f"mozhu train --preset lora --model starter --dataset {shown(part)}_train.jsonl "
        f"--val_dataset {shown(part)}_validation.jsonl --output_dir 6_output/{spec.output_name}"
    ]


def _register(call: Call, spec: Any, result: Result) -> tuple[dict[str, Any], str]:
    """With ``--register_as`` the snapshot is a version of that data set."""
    if spec.register_as is None:
        return {}, ""
    wanted = DatasetRegisterSpec(path=spec.output_dir, name=spec.register_as)
    done = slots.load("mozhu.rooms", "register_dataset")(call.home.root, wanted)
    return {"registered": done.to_json()}, registered_words(done)


def _act(call: Call) -> int:
    if call.spec.register_as is not None and call.switches.get("detach"):
        raise BadUsage(verb="data prepare", reason=text("datasets.register.detached"))
    if call.spec.register_as is not None:
        check_dataset_name(call.spec.register_as)
    return _ENGINE.act(call)


_ENGINE = engine_command("data prepare", PrepareSpec, _next, afterwards=_register)
COMMAND = replace(_ENGINE, act=_act)
