"""``mozhu evaluate``: base and tuned side by side on test rows; or, with ``--interactive``, a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.records.result import Result


def _next(spec: Any, result: Result) -> Sequence[str]:
    if spec.merge:
        merged = [artefact.path for artefact in result.artefacts if "merge" in artefact.kind]
        return [
            f"mozhu convert --model {shown(Path(path))} --quantization Q8_0 --create_modelfile"
            for path in merged
        ]
    return [f"mozhu infer --checkpoint {shown(Path(spec.checkpoint))} --mode interactive"]


COMMAND = engine_command("evaluate", EvaluateSpec, _next)
