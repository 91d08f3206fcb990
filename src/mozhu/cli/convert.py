"""``mozhu convert``: a model as GGUF (with a Modelfile for Ollama on request) or as safetensors, with a certificate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.specs.export import ConvertSpec
from mozhu.specs.records.result import Result


def _next(spec: Any, result: Result) -> Sequence[str]:
    if spec.format == "safetensors":
        return [f"mozhu verify {shown(Path(a.path))}" for a in result.artefacts if a.kind != "weights"]
    files = [artefact.path for artefact in result.artefacts if artefact.path.endswith(".gguf")]
    return [f'mozhu infer --checkpoint {shown(Path(path))} --mode single --question "你好"' for path in files]


COMMAND = engine_command("convert", ConvertSpec, _next, preview="preview_convert")
