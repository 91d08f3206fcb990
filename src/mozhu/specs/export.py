"""What may be asked of a finished model: merging an adapter into its base, conversion to another format."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import Spec

Quantization = Literal["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S"]


class MergeSpec(Spec):
    """One whole model out of a base and its LoRA adapter.

    ``base_model`` None: the base that the adapter names in its own ``adapter_config.json``.
    ``overwrite``: also replace a folder that no merge made.
    """

    verb: ClassVar[str] = "merge"
    path_fields: ClassVar[tuple[str, ...]] = ("base_model", "adapter", "output_path")

    base_model: str | None = None
    adapter: str = Field(min_length=1)
    output_path: str = Field(min_length=1)
    overwrite: bool = False


class ConvertSpec(Spec):
    """One GGUF file, and on request an Ollama Modelfile, out of a model folder.

    ``output_path`` None: the folder ``gguf/<model_name>-<quantization>/`` beside the model's; a path without
    ``.gguf`` is a folder. ``model_name`` None: the name of the model's folder.
    """

    verb: ClassVar[str] = "convert"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "output_path")

    model: str = Field(min_length=1)
    format: Literal["gguf"] = "gguf"
    quantization: Quantization = "Q4_K_M"
    output_path: str | None = None
    model_name: str | None = None
    create_modelfile: bool = False
    system: str | None = None
    temperature: float | None = Field(default=None, ge=0.0)
    overwrite: bool = False
