"""``mozhu data prepare``: raw rows checked, converted and split; every rejected row with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.result import Result


def _next(spec: Any, result: Result) -> Sequence[str]:
    part = Path(spec.output_dir) / spec.output_name
    return [
        f"mozhu train --preset lora --model starter --dataset {shown(part)}_train.jsonl "
        f"--val_dataset {shown(part)}_validation.jsonl --output_dir 6_output/{spec.output_name}"
    ]


COMMAND = engine_command("data prepare", PrepareSpec, _next)
