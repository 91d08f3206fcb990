"""A GGUF file's numbers held against those of its source: each tensor, and what their rounding does to the model.

The source's own weights are quantised again to the file's types. That gives two things without trusting the file: how
far a correct file may lie from its source, tensor by tensor, and the reference model whose answers say how much of a
difference is quantisation and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch

from mozhu.engine.export.gguf.ggml import as_float32
from mozhu.engine.export.gguf.readback import open_gguf
from mozhu.engine.export.gguf.tensors import Planned, paired_rows, tensor_bytes, unpaired_rows
from mozhu.engine.export.gguf.write import GgufPlan

# A file may be made by another quantiser with other roundings: its error may be this much above the reference's.
_MOST_ERROR = 1.25
_SAME = 1e-6
_BLOCK_VALUES = 1 << 24


@dataclass
class Rounding:
    """``worse``: tensors further from the source than correct rounding explains, or absent, or of another shape.

    ``exact``: how many of ``of`` are equal to the byte. ``complete``: the model was changed into the reference.
    """

    of: int = 0
    exact: int = 0
    worse: list[str] = field(default_factory=list)
    complete: bool = True


@torch.no_grad()
def compare_tensors(path: Path, plan: GgufPlan, model: Any) -> Rounding:
    """Every tensor of the file ``path`` against the source of ``plan``.

    Afterwards ``model``, the source as transformers loaded it, holds the source's weights rounded to the file's types.
    """
    found = {tensor.name: tensor for tensor in open_gguf(path).tensors}
    parameters = dict(model.named_parameters())
    told = Rounding()
    wanted = {planned.name for planned in plan.tensors}
    told.worse += sorted(name for name in found.keys() - wanted)
    for planned in plan.tensors:
        told.of += 1
        tensor = found.get(planned.name)
        if tensor is None or tuple(int(n) for n in reversed(tensor.shape)) != planned.shape:
            told.worse.append(planned.name)
            continue
        _compare(told, tensor, replace(planned, kind=tensor.tensor_type), plan, parameters)
    return told


def _compare(
    told: Rounding, tensor: Any, planned: Planned, plan: GgufPlan, parameters: dict[str, torch.Tensor]
) -> None:
    """Add one tensor to ``told`` and put its rounded source into the parameter it came from."""
    try:
        made = tensor_bytes(plan.checkpoint, planned, plan.model.path)
    except (NotImplementedError, ValueError, OSError):
        told.complete = False
        return
    held = np.asarray(tensor.data)
    equal = made.nbytes == held.nbytes and _same_bytes(made, held)
    told.exact += equal
    if planned.source is None:
        if not equal:
            told.worse.append(planned.name)
        return
    parameter = parameters.get(planned.source)
    told.complete &= parameter is not None
    errors = [0.0, 0.0, 0.0]
    for start, source, rounded, other in _parts(planned, plan, made, held, equal=equal):
        errors[0] += float(np.square(source, dtype=np.float64).sum())
        errors[1] += float(np.square(rounded - source, dtype=np.float64).sum())
        errors[2] += float(np.square(other - source, dtype=np.float64).sum()) if other is not rounded else 0.0
        if parameter is not None:
            _put(parameter, planned, start, rounded)
    length, reference, own = (value**0.5 for value in errors)
    if not equal and not own <= _MOST_ERROR * reference + _SAME * length:
        told.worse.append(planned.name)


def _parts(
    planned: Planned, plan: GgufPlan, made: Any, held: Any, *, equal: bool
) -> Iterator[tuple[int, Any, Any, Any]]:
    """(first row, source, source rounded, file) as float32, in blocks of rows; re-ordered tensors in one."""
    values = plan.checkpoint.array(planned.source or "")
    values = paired_rows(values, planned.heads) if planned.heads else values
    rows = values.reshape(-1, values.shape[-1]) if values.ndim > 1 else values.reshape(1, -1)
    first, second = _rows(made, len(rows)), _rows(held, len(rows))
    step = len(rows) if planned.heads else max(1, _BLOCK_VALUES // max(1, rows.shape[-1]))
    for start in range(0, len(rows), step):
        source = as_float32(rows[start : start + step]) + np.float32(planned.plus_one)
        rounded = _numbers(first[start : start + step], planned.kind, source.shape)
        other = rounded if equal else _numbers(second[start : start + step], planned.kind, source.shape)
        yield start, source, rounded, other


def _put(parameter: torch.Tensor, planned: Planned, start: int, rounded: Any) -> None:
    values = rounded - np.float32(1) if planned.plus_one else rounded
    if planned.heads:
        shape = (*planned.shape,)
        values = unpaired_rows(values.reshape(shape), planned.heads).reshape(values.shape)
    flat = (
        parameter.data.reshape(-1, values.shape[-1]) if parameter.dim() > 1 else parameter.data.reshape(1, -1)
    )
    flat[start : start + len(values)].copy_(torch.from_numpy(np.ascontiguousarray(values)))


def _numbers(content: Any, kind: Any, shape: tuple[int, ...]) -> Any:
    whole = np.ascontiguousarray(content)
    if kind is gguf.GGMLQuantizationType.BF16:
        return as_float32(whole.view(np.uint16)).reshape(shape)
    return gguf.quants.dequantize(whole, kind).reshape(shape)


def _rows(content: Any, rows: int) -> Any:
    """Bytes, or numbers of their own type, one row of the tensor after the other."""
    return content.reshape(rows, -1)


def _same_bytes(first: Any, second: Any) -> bool:
    one, two = (np.ascontiguousarray(item).reshape(-1).view(np.uint8) for item in (first, second))
    return bool(np.array_equal(one, two))
