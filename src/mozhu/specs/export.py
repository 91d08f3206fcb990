"""What may be asked of a finished model: merging an adapter into its base, conversion to another format."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from mozhu.kernel.sizes import parse_size
from mozhu.specs.base import Paths, Spec, split_words

# Blocks of this many bytes in all still carry their own weight.
LEAST_MEMORY_BYTES = 64_000_000

# Written by other tools, and asked for in seed 000.
_OTHER_FORMATS = ("onnx", "tensorrt", "engine", "pt", "pth", "bin", "h5", "tflite", "coreml", "openvino")

Quantization = Literal["F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q4_K_M", "Q4_K_S"]


def _checked_size(value: Any) -> Any:
    """A size as text, when it is one."""
    if isinstance(value, str):
        try:
            parse_size(value)
        except ValueError:
            raise ValueError("export.rule.size") from None
    return value


Size = Annotated[str, BeforeValidator(_checked_size)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(split_words)]


class MergeSpec(Spec):
    """One whole model out of a base and its adapter.

    ``base_model`` None: the base that the adapter names in its own ``adapter_config.json``.
    ``more_adapters`` are added in the same pass, each ``weights`` times (1 where none are given): Σ wᵢ·ΔWᵢ exactly,
    rounded once. ``max_shard_size`` None keeps the base's files. ``memory`` bounds what a block may take.
    ``overwrite``: also replace a folder that no merge made.
    """

    verb: ClassVar[str] = "merge"
    path_fields: ClassVar[tuple[str, ...]] = ("base_model", "adapter", "more_adapters", "output_path")

    base_model: str | None = None
    adapter: str = Field(min_length=1)
    more_adapters: Paths = ()
    weights: Numbers = ()
    output_path: str = Field(min_length=1)
    max_shard_size: Size | None = None
    memory: Size = "1GB"
    overwrite: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> MergeSpec:
        if self.weights and len(self.weights) != 1 + len(self.more_adapters):
            raise ValueError("export.rule.weights")
        if parse_size(self.memory) < LEAST_MEMORY_BYTES:
            raise ValueError("export.rule.memory")
        return self


class ConvertSpec(Spec):
    """A model in another form: one GGUF file, with an Ollama Modelfile on request; or safetensors anew.

    ``output_path`` None: the folder ``gguf/<model_name>-<quantization>/``, or ``safetensors/<model_name>/``, beside
    the model's; a path without ``.gguf`` is a folder. ``model_name`` None: the name of the model's folder.
    ``max_shard_size`` and ``dtype`` are for safetensors: None keeps the files, the types of the numbers.
    """

    verb: ClassVar[str] = "convert"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "output_path")

    model: str = Field(min_length=1)
    format: Literal["gguf", "safetensors"] = "gguf"
    quantization: Quantization = "Q4_K_M"
    output_path: str | None = None
    model_name: str | None = None
    create_modelfile: bool = False
    system: str | None = None
    temperature: float | None = Field(default=None, ge=0.0)
    max_shard_size: Size | None = None
    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    overwrite: bool = False

    @model_validator(mode="before")
    @classmethod
    def _is_written_here(cls, values: Any) -> Any:
        """A format that is known elsewhere is told apart from a slip."""
        if isinstance(values, dict) and str(values.get("format")).lower() in _OTHER_FORMATS:
            raise ValueError("export.rule.other_format")
        return values

    @model_validator(mode="after")
    def _fits_the_format(self) -> ConvertSpec:
        if self.format == "gguf":
            if self.max_shard_size is not None or self.dtype is not None:
                raise ValueError("export.rule.only_safetensors")
            return self
        if self.create_modelfile or self.system is not None or self.temperature is not None:
            raise ValueError("export.rule.only_gguf")
        if self.output_path and self.output_path.endswith((".safetensors", ".gguf")):
            raise ValueError("export.rule.folder")
        return self
