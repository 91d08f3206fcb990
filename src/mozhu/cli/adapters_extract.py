"""``mozhu adapters extract``: the adapter nearest to a full fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.specs.adapters import ExtractSpec
from mozhu.specs.records.result import Result


def _next(spec: Any, result: Result) -> Sequence[str]:
    place = shown(Path(spec.output_path))
    return [f"mozhu adapters show {place}", f"mozhu merge --adapter {place} --output_path {place}-merged"]


COMMAND = engine_command("adapters extract", ExtractSpec, _next)
