"""``mozhu evaluate``: base and tuned side by side on test rows, and the adapter merged where that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.cli.engine_run import shown
from mozhu.cli.engine_verb import engine_command
from mozhu.kernel.files import read_json
from mozhu.kernel.texts import has_text, text
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


def _scores(folder: Path, result: Result) -> list[str]:
    """Each metric of the base and of the tuned model, for every set of rows that was scored."""
    path = folder / "evaluation.json"
    if not path.is_file():
        return []
    lines = []
    for name, part in read_json(path)["sets"].items():
        lines.append(f"  {text('demo.set.' + name)} ({part['rows']}):")
        for metric, values in part["metrics"].items():
            base = f"{_number(values['base'])} → " if values.get("base") else ""
            lines.append(f"    {_name(metric)}: {base}{_number(values['tuned'])}")
    return lines


def _name(metric: str) -> str:
    key = f"report.metric.{metric}"
    return text(key) if has_text(key) else metric


def _number(value: Any) -> str:
    number = value["value"] if isinstance(value, dict) else value
    return f"{number:.4g}" if isinstance(number, (int, float)) else str(number)


COMMAND = engine_command("evaluate", EvaluateSpec, _next, _scores)
