"""What may be asked of a model that answers."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import Paths, Positive, Spec


class InferSpec(Spec):
    """Ask a model: one question, a file of questions, or a conversation at the terminal."""

    verb: ClassVar[str] = "infer"
    path_fields: ClassVar[tuple[str, ...]] = ("checkpoint", "base_model", "input", "output")

    checkpoint: str = "starter"
    base_model: str | None = None
    mode: Literal["interactive", "single", "batch"] = "interactive"
    question: str | None = None
    answer: str | None = None
    images: Paths = ()
    input: str | None = None
    output: str | None = None
    system: str | None = None
    max_new_tokens: Positive = 256
    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int = Field(default=42, ge=0, lt=2**32)
    batch_size: Positive = 8
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class LoadSpec(Spec):
    """A model in this process, with its adapter, for code of one's own (``mozhu.load``)."""

    verb: ClassVar[str] = "load"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "base_model")

    model: str = Field(min_length=1)
    base_model: str | None = None
    quantization: Literal["none", "8bit", "4bit"] = "none"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class DeploySpec(Spec):
    """How a model is served: the schema of ``2_deploy_config.json``."""

    verb: ClassVar[str] = "deploy"
    config_file: ClassVar[str | None] = "2_deploy_config.json"
    has_presets: ClassVar[bool] = True
    path_fields: ClassVar[tuple[str, ...]] = ("checkpoint",)

    checkpoint: str = "starter"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    backend: Literal["auto", "transformers", "llama_cpp", "vllm"] = "auto"
    max_new_tokens: Positive = 512
    temperature: float = Field(default=0.7, ge=0.0)
    max_concurrent_requests: Positive = 16
