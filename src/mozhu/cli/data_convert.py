"""``mozhu data convert``: rows of any shape written in another."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.specs.data import DataConvertSpec
from mozhu.specs.records.result import Result


def _next(spec: Any, result: Result) -> Sequence[str]:
    return [f"mozhu data prepare --input {shown(Path(spec.output))}"]


COMMAND = engine_command("data convert", DataConvertSpec, _next)
