"""``mozhu merge``: an adapter into its base, with a certificate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.result import Result


def _next(spec: Any, result: Result) -> Sequence[str]:
    place = shown(Path(spec.output_path))
    return [
        f"mozhu convert --model {place} --quantization Q4_K_M --create_modelfile",
        f"mozhu registry register --path {place}",
    ]


COMMAND = engine_command("merge", MergeSpec, _next, preview="preview_merge", refused_first=True)
