"""The value of one merged tensor. Sums are in float32 and rounded once to the base's type, in the order
that PEFT's ``merge_and_unload`` uses on a CPU, so results are equal to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from mozhu.engine.export.adapter import Adapter, Change
from mozhu.engine.export.checkpoint import Checkpoint

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class Merged:
    """``effect`` is ‖ΔW‖ / ‖W‖ in float32, ``changed`` whether any stored value differs."""

    content: memoryview
    effect: float
    changed: bool


def read_tensor(checkpoint: Checkpoint, name: str) -> torch.Tensor:
    """One tensor; its memory is its own."""
    entry = checkpoint.entries[name]
    if not entry.size_bytes:
        return torch.empty(entry.shape, dtype=DTYPES[entry.dtype])
    return torch.frombuffer(checkpoint.read(name), dtype=DTYPES[entry.dtype]).reshape(entry.shape)


def merge_tensor(base: Checkpoint, source: str, adapter: Adapter, change: Change) -> Merged:
    """The bytes of tensor ``source`` of the base after ``change``, in the base's type."""
    old = read_tensor(base, source)
    start = read_tensor(adapter.tensors, change.start).to(old.dtype) if change.start else old
    new, difference = _merged(start, adapter, change)
    new = new.to(old.dtype).contiguous()
    if torch.equal(new, old):
        return Merged(tensor_bytes(new), 0.0, False)
    if difference is None or change.start:
        difference = _length(new.float() - old.float())
    length = _length(old)
    return Merged(tensor_bytes(new), difference / length if length else float("inf"), True)


def tensor_bytes(tensor: torch.Tensor) -> memoryview:
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]


def _merged(old: torch.Tensor, adapter: Adapter, change: Change) -> tuple[torch.Tensor, float | None]:
    """The new value and, where it is cheap to know, the length of what was added."""
    if change.kind == "replace":
        return read_tensor(adapter.tensors, change.a or ""), None
    if change.kind == "bias":
        return old + _float(adapter, change.a) * change.scaling, None
    first, second = _float(adapter, change.a), _float(adapter, change.b)
    product = second @ first
    delta = (product.T if change.transposed else product).mul_(change.scaling)
    if change.kind == "embedding":
        return old + delta.to(old.dtype), None
    if change.magnitude is not None:
        return _dora(old, delta, _float(adapter, change.magnitude), transposed=change.transposed), None
    # |BA|² is the sum over BᵀB ∘ AAᵀ: two small products instead of a pass over the whole matrix.
    squared = float(((second.T @ second) * (first @ first.T)).sum())
    return delta.add_(old), abs(change.scaling) * math.sqrt(max(squared, 0.0))


def _dora(
    old: torch.Tensor, delta: torch.Tensor, magnitude: torch.Tensor, *, transposed: bool
) -> torch.Tensor:
    """DoRA (arXiv:2402.09353, eq. 5): every output row of W + ΔW gets the learnt length."""
    total = old + delta
    rows = old.T + delta.T if transposed else total
    factor = (magnitude / torch.linalg.norm(rows, dim=1)).view(-1, 1)
    scaled: torch.Tensor = (factor.T if transposed else factor) * total
    return scaled


def _float(adapter: Adapter, name: str | None) -> torch.Tensor:
    return read_tensor(adapter.tensors, name or "").float()


def _length(tensor: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(tensor, dtype=torch.float32))
