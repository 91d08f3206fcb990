"""Rotary position settings, as transformers 5 (``rope_parameters``) and 4 (``rope_theta``,
``rope_scaling``) write them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import UnsupportedModelSetting
from mozhu.kernel.texts import text

KINDS = ("default", "linear", "llama3", "yarn")


@dataclass(frozen=True)
class Rope:
    """``local_theta`` is that of the sliding layers of Gemma 3."""

    theta: float
    kind: str = "default"
    factor: float = 1.0
    original_context: int = 0
    low_factor: float = 1.0
    high_factor: float = 4.0
    local_theta: float = 10000.0


def read_rope(config: dict[str, Any], folder: Path) -> Rope:
    """Raises UnsupportedModelSetting: EXPORT-009 for a scaling that is not one of ``KINDS``."""
    parameters = config.get("rope_parameters") or {}
    local = (
        parameters.get("sliding_attention", {}).get("rope_theta")
        or config.get("rope_local_base_freq")
        or 10000.0
    )
    if "full_attention" in parameters:
        parameters = parameters["full_attention"]
    scaling = {**(config.get("rope_scaling") or {}), **parameters}
    kind = scaling.get("rope_type") or scaling.get("type") or "default"
    if kind not in KINDS:
        raise UnsupportedModelSetting(
            path=str(folder), setting="rope_type", value=kind, expected_value=text("export.expected.rope")
        )
    return Rope(
        theta=float(scaling.get("rope_theta") or config.get("rope_theta") or 10000.0),
        kind=kind,
        factor=float(scaling.get("factor") or 1.0),
        original_context=int(
            scaling.get("original_max_position_embeddings") or config.get("max_position_embeddings") or 0
        ),
        low_factor=float(scaling.get("low_freq_factor") or 1.0),
        high_factor=float(scaling.get("high_freq_factor") or 4.0),
        local_theta=float(local),
    )
