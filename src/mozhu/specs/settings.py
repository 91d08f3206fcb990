"""The schema of ``0_configs/1_model_config.json``: names for models and data sets, and where they come from."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from mozhu.kernel.paths import workspace_or_here
from mozhu.specs.base import Spec
from mozhu.specs.layers import Layers, resolve


class NamedSource(BaseModel):
    """A name's place: a local path (relative to the workspace) or a hub id."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1)
    description: str = ""


class ModelSettings(Spec):
    """``models`` and ``datasets`` give short or hub names a local place, so that the same command works offline."""

    verb: ClassVar[str] = "settings"
    config_file: ClassVar[str | None] = "1_model_config.json"

    models: dict[str, NamedSource] = {}
    datasets: dict[str, NamedSource] = {}
    hub: Literal["none", "huggingface", "modelscope"] = "none"


def model_settings() -> ModelSettings:
    """The names that hold in the workspace in force."""
    return resolve(ModelSettings, Layers(flags={}, workspace=workspace_or_here())).spec
