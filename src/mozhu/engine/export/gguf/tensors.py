"""Which tensor of the model becomes which tensor of the file, in which type, with which change."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np

from mozhu.engine.export.checkpoint import NUMPY_KINDS, Checkpoint
from mozhu.engine.export.gguf.families import Family, Shape, llama3_factors
from mozhu.engine.export.gguf.ggml import as_float32, encoded
from mozhu.engine.export.gguf.mix import Mix
from mozhu.kernel.errors import UnsupportedModelSetting
from mozhu.kernel.texts import text

Type = gguf.GGMLQuantizationType
_HEAD = "lm_head.weight"
_BLOCK_VALUES = 4 << 20
_LARGEST_HALF = 65504.0
_IGNORED = ("rotary_emb.inv_freq", ".attention.masked_bias", ".attention.bias")
_SAME = {Type.F32: "F32", Type.F16: "F16", Type.BF16: "BF16"}


@dataclass(frozen=True)
class Planned:
    """One tensor of the file. ``source`` None: made here (``values``). ``heads``: rows are re-ordered for
    so many.
    """

    name: str
    shape: tuple[int, ...]
    kind: Type
    source: str | None
    heads: int = 0
    plus_one: bool = False
    values: tuple[float, ...] = ()

    @property
    def size_bytes(self) -> int:
        block, size = gguf.GGML_QUANT_SIZES[self.kind]
        return int(np.prod(self.shape)) // block * size


def plan_tensors(
    checkpoint: Checkpoint, family: Family, shape: Shape, mix: Mix, folder: Path, *, tied: bool
) -> list[Planned]:
    """Every tensor of the file, each of the model's once.

    Raises:
        UnsupportedModelSetting: EXPORT-009 for a tensor that the architecture has no place for, or lacks.
    """
    names = gguf.get_tensor_name_map(family.arch, shape.layers)
    planned: list[Planned] = []
    problems = []
    for name, entry in checkpoint.entries.items():
        if name.endswith(_IGNORED) or (tied and name == _HEAD):
            continue
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None:
            problems.append(text("export.reason.unknown_tensor", tensor=name))
        elif entry.dtype not in NUMPY_KINDS:
            problems.append(text("export.reason.dtype", tensor=name, dtype=entry.dtype))
        else:
            planned.append(_planned(target, name, entry.shape, family, shape, mix))
    if shape.rope.kind == "llama3":
        factors = tuple(llama3_factors(shape.rope, shape.head_dim))
        planned.append(Planned("rope_freqs.weight", (len(factors),), Type.F32, None, values=factors))
    problems += _missing(planned, shape, tied=tied)
    if problems:
        raise UnsupportedModelSetting(
            path=str(folder), setting="tensors", value="; ".join(problems[:5]), expected_value=""
        )
    return planned


def tensor_bytes(checkpoint: Checkpoint, plan: Planned, folder: Path) -> np.ndarray[Any, Any]:
    """The content of one tensor in its type.

    Raises:
        UnsupportedModelSetting: EXPORT-009 where values are too large for float16.
    """
    if plan.source is None:
        return np.array(plan.values, dtype=np.float32)
    values = checkpoint.array(plan.source)
    if plan.heads:
        values = paired_rows(values, plan.heads)
    if plan.plus_one:
        values = as_float32(values) + np.float32(1)
    if values.dtype == np.dtype(NUMPY_KINDS.get(_SAME.get(plan.kind, ""), "O")):
        return np.ascontiguousarray(values)
    if plan.kind in (Type.F32, Type.F16):
        return _converted(values, plan, folder)
    return encoded(values.reshape(-1, values.shape[-1]), plan.kind)


def mix_of(planned: list[Planned]) -> dict[str, int]:
    """How many tensors have which type."""
    return dict(sorted(Counter(plan.kind.name for plan in planned).items()))


def paired_rows(values: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of q or k from transformers' order (first halves, second halves) to llama.cpp's (pairs)."""
    dim = values.shape[0] // heads
    halves = values.reshape(heads, 2, dim // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def unpaired_rows(values: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of q or k back in transformers' order: what :func:`paired_rows` did, undone."""
    dim = values.shape[0] // heads
    pairs = values.reshape(heads, dim // 2, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def _planned(
    target: str, name: str, dims: tuple[int, ...], family: Family, shape: Shape, mix: Mix
) -> Planned:
    heads = 0
    if family.permuted and ".attn_q." in target:
        heads = shape.heads
    elif family.permuted and ".attn_k." in target:
        heads = shape.kv_heads
    norm = family.norm_offset and name.endswith("norm.weight")
    return Planned(target, dims, mix.choose(target, dims), name, heads, norm)


def _missing(planned: list[Planned], shape: Shape, *, tied: bool) -> list[str]:
    held = {plan.name for plan in planned}
    wanted = ["token_embd.weight", "output_norm.weight", *(() if tied else ("output.weight",))]
    wanted += [f"blk.{i}.{part}.weight" for i in range(shape.layers) for part in _PARTS]
    return [text("export.reason.missing_tensor", tensor=name) for name in wanted if name not in held]


_PARTS = (
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
)


def _converted(values: np.ndarray[Any, Any], plan: Planned, folder: Path) -> np.ndarray[Any, Any]:
    """``values`` as float32 or float16, through float32 in blocks of rows."""
    out = np.empty(values.shape, dtype=np.float16 if plan.kind is Type.F16 else np.float32)
    step = max(1, _BLOCK_VALUES // max(1, values.size // max(1, len(values))))
    for start in range(0, len(values), step):
        block = as_float32(values[start : start + step])
        if plan.kind is Type.F16 and (largest := float(np.abs(block).max(initial=0.0))) > _LARGEST_HALF:
            raise UnsupportedModelSetting(
                path=str(folder),
                setting=str(plan.source),
                value=largest,
                expected_value=text("export.expected.half"),
            )
        out[start : start + step] = block
    return out
