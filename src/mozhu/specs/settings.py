"""The schema of ``0_configs/1_model_config.json``: names for models and data sets, and where they come from."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from mozhu.specs.base import Spec


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
