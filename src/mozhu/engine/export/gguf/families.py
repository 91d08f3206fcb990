"""What each model family is called in GGUF and how its weights differ there from the safetensors form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from mozhu.engine.export.gguf.rope import Rope, read_rope
from mozhu.kernel.errors import UnsupportedFamily, UnsupportedModelSetting
from mozhu.kernel.texts import text


@dataclass(frozen=True)
class Family:
    """``permuted``: rows of q and k lie pairwise; ``norm_offset``: norms are stored as w and used as 1 +
    w.
    """

    arch: gguf.MODEL_ARCH
    permuted: bool = False
    norm_offset: bool = False
    head_dim: int | None = None
    activation: tuple[str, ...] = ("silu",)


_GELU = ("gelu_pytorch_tanh", "gelu_new", "gelu")
FAMILIES = {
    "llama": Family(gguf.MODEL_ARCH.LLAMA, permuted=True),
    "mistral": Family(gguf.MODEL_ARCH.LLAMA, permuted=True),
    "qwen2": Family(gguf.MODEL_ARCH.QWEN2),
    "qwen3": Family(gguf.MODEL_ARCH.QWEN3, head_dim=128),
    "gemma": Family(gguf.MODEL_ARCH.GEMMA, norm_offset=True, head_dim=256, activation=_GELU),
    "gemma2": Family(gguf.MODEL_ARCH.GEMMA2, norm_offset=True, head_dim=256, activation=_GELU),
    "gemma3_text": Family(gguf.MODEL_ARCH.GEMMA3, norm_offset=True, head_dim=256, activation=_GELU),
}


@dataclass(frozen=True)
class Shape:
    """The numbers of a model that the converter itself needs."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_dim: int
    rope: Rope


def find_family(config: dict[str, Any], folder: Path) -> Family:
    """Raises UnsupportedFamily: EXPORT-008, listing the supported ones."""
    name = str(config.get("model_type"))
    if name not in FAMILIES:
        raise UnsupportedFamily(path=str(folder), family=name, supported=sorted(FAMILIES))
    return FAMILIES[name]


def read_shape(config: dict[str, Any], family: Family, folder: Path) -> Shape:
    heads = config["num_attention_heads"]
    return Shape(
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head_dim=config.get("head_dim") or family.head_dim or config["hidden_size"] // heads,
        rope=read_rope(config, folder),
    )


def add_hyperparameters(
    writer: gguf.GGUFWriter,
    config: dict[str, Any],
    family: Family,
    shape: Shape,
    folder: Path,
    note: Callable[[str, object], None],
) -> None:
    """Write the keys of the architecture.

    ``note`` hears of a setting that was narrowed: its name and the value that counts in the file.

    Raises:
        UnsupportedModelSetting: EXPORT-009.
    """
    _check(
        folder, "hidden_act", config.get("hidden_activation") or config.get("hidden_act"), family.activation
    )
    context = config.get("max_position_embeddings") or 2048
    window = config.get("sliding_window")
    narrow = family.arch in (gguf.MODEL_ARCH.LLAMA, gguf.MODEL_ARCH.QWEN2, gguf.MODEL_ARCH.QWEN3)
    if (
        narrow
        and window
        and window < context
        and config.get("use_sliding_window", config.get("model_type") == "mistral")
    ):
        # llama.cpp attends to everything in these architectures: equal to the model up to the window, not
        # beyond.
        context = window
        note("context_length", context)
    writer.add_context_length(context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    writer.add_value_length(shape.head_dim)
    writer.add_layer_norm_rms_eps(config.get("rms_norm_eps", 1e-6))
    if family.arch is gguf.MODEL_ARCH.LLAMA:
        writer.add_rope_dimension_count(shape.head_dim)
    _add_rope(writer, shape.rope)
    if family.arch is gguf.MODEL_ARCH.GEMMA2:
        _add_gemma2(writer, config, shape, folder)
    if family.arch is gguf.MODEL_ARCH.GEMMA3:
        _add_gemma3(writer, config, shape, folder)


def _add_rope(writer: gguf.GGUFWriter, rope: Rope) -> None:
    writer.add_rope_freq_base(rope.theta)
    if rope.kind == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope.factor)
    elif rope.kind == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope.factor)
        writer.add_rope_scaling_orig_ctx_len(rope.original_context)


def _add_gemma2(writer: gguf.GGUFWriter, config: dict[str, Any], shape: Shape, folder: Path) -> None:
    writer.add_attn_logit_softcapping(config.get("attn_logit_softcapping") or 0.0)
    writer.add_final_logit_softcapping(config.get("final_logit_softcapping") or 0.0)
    writer.add_sliding_window(config.get("sliding_window") or 4096)
    _check_pattern(config, folder, 2)
    # llama.cpp knows the 27B model (46 layers) by its layers and scales it by width / heads, all others by
    # head_dim.
    wanted = shape.width // shape.heads if shape.layers == 46 else shape.head_dim
    _check(
        folder, "query_pre_attn_scalar", config.get("query_pre_attn_scalar", wanted), (wanted, float(wanted))
    )


def _add_gemma3(writer: gguf.GGUFWriter, config: dict[str, Any], shape: Shape, folder: Path) -> None:
    writer.add_sliding_window(config.get("sliding_window") or 4096)
    writer.add_rope_freq_base_swa(shape.rope.local_theta)
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        _check(folder, name, config.get(name), (None,))
    _check_pattern(config, folder, 6)
    wanted = shape.width // shape.heads if shape.layers == 62 else shape.head_dim
    _check(
        folder, "query_pre_attn_scalar", config.get("query_pre_attn_scalar", wanted), (wanted, float(wanted))
    )


def _check_pattern(config: dict[str, Any], folder: Path, period: int) -> None:
    """llama.cpp takes every ``period``-th layer for one with full attention."""
    types = config.get("layer_types")
    wanted = ["sliding_attention" if (i + 1) % period else "full_attention" for i in range(len(types or ()))]
    if types and types != wanted:
        raise UnsupportedModelSetting(
            path=str(folder),
            setting="layer_types",
            value=types,
            expected_value=text("export.expected.value", value=wanted),
        )


def _check(folder: Path, setting: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        shown = text("export.expected.value", value=", ".join(map(str, allowed)))
        raise UnsupportedModelSetting(path=str(folder), setting=setting, value=value, expected_value=shown)


def llama3_factors(rope: Rope, head_dim: int) -> list[float]:
    """What each rotary frequency is divided by under Llama 3's scaling (transformers
    ``_compute_llama3_parameters``).
    """
    low_wave, high_wave = rope.original_context / rope.low_factor, rope.original_context / rope.high_factor
    factors = []
    for place in range(0, head_dim, 2):
        wave = 2 * math.pi * rope.theta ** (place / head_dim)
        if wave < high_wave:
            factors.append(1.0)
        elif wave > low_wave:
            factors.append(rope.factor)
        else:
            smooth = (rope.original_context / wave - rope.low_factor) / (rope.high_factor - rope.low_factor)
            factors.append(1 / ((1 - smooth) / rope.factor + smooth))
    return factors
