"""What may be asked of configuration files of other programs."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import Spec


class ConfigImportSpec(Spec):
    """A training configuration of LLaMA-Factory, ms-swift or Axolotl as one of ours.

    ``file`` may also be a whole command. ``output`` None writes nothing. ``model`` and ``dataset`` take the place
    of the file's own.
    """

    verb: ClassVar[str] = "config.import"
    path_fields: ClassVar[tuple[str, ...]] = ("output",)

    file: str = Field(min_length=1)
    output: str | None = Field(default=None, min_length=1)
    format: Literal["auto", "llama_factory", "ms_swift", "axolotl"] = "auto"
    model: str | None = Field(default=None, min_length=1)
    dataset: str | None = Field(default=None, min_length=1)
    accept_unsupported: bool = False
    overwrite: bool = False
