"""Which rows a stage of training learns from."""

from __future__ import annotations

from pathlib import Path

from mozhu.engine.data.shapes import KIND_OF_SHAPE
from mozhu.kernel.errors import WrongStage
from mozhu.kernel.texts import has_text, text

KINDS_OF_STAGE = {
    "sft": ("sft", "text"),
    "pt": ("text",),
    "dpo": ("preference",),
    "orpo": ("preference",),
    "rm": ("preference",),
    "kto": ("kto",),
    "classification": ("classification",),
}


def check_stage(stage: str | None, shape: str, path: Path, evidence: str) -> None:
    """Raises WrongStage: DATA-011, with what to do, when ``stage`` does not learn from rows of ``shape``."""
    kind = KIND_OF_SHAPE[shape]
    if stage is None or kind in KINDS_OF_STAGE.get(stage, (kind,)):
        return
    how = f"data.stage.{stage}.{kind}"
    wanted = f"data.stage.{stage}.wanted"
    raise WrongStage(
        path=str(path),
        kind=text(f"data.kind.{kind}"),
        evidence=evidence or shape,
        stage=stage,
        wanted=text(wanted) if has_text(wanted) else stage,
        how=text(how, path=str(path)) if has_text(how) else text("data.stage.other"),
    )
