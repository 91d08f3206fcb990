"""Faster operators for parts of a network that compute the same numbers: chosen by the device, and only when asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mozhu.kernel import slots
from mozhu.kernel.machine import library_version
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec

LIBRARY = "liger-kernel"
LIGER, COMPILED = "liger", "compiled"
# Parts whose time is spent on reading and writing, not on products: the ends of their class names.
_ELEMENTWISE = ("RMSNorm", "LayerNorm", "RotaryEmbedding")


def chosen_kernels(spec: TrainSpec, device: str) -> tuple[str, ...]:
    """What is used of ``spec``'s wishes on ``device``: Liger's operators are Triton's, so of a CUDA GPU alone."""
    liger = spec.fused_kernels and device == "cuda" and library_version(LIBRARY) is not None
    return (*((LIGER,) if liger else ()), *((COMPILED,) if spec.compile_parts else ()))


def kernel_findings(spec: TrainSpec, *, has_gpu: bool) -> list[Finding]:
    """Fused operators that were asked for and cannot be had."""
    if not spec.fused_kernels:
        return []
    if not has_gpu:
        return [Finding("info", "TRAIN-056", {"title": "Liger"})]
    if library_version(LIBRARY) is None:
        params = {"wanted_by": "--fused_kernels", "module": LIBRARY, "extra": "gpu"}
        return [Finding("error", "ENV-001", params)]
    return []


def use_kernels(model: Any, names: tuple[str, ...]) -> None:
    """``model`` computes with the operators of ``names``; its weights and their names stay as they are.

    The loss is never Liger's: ours computes logits only where a label is.
    """
    if LIGER in names:
        fuse: Callable[..., None] = slots.load("mozhu.rooms", "fuse_with_liger")
        fuse(model, cross_entropy=False, fused_linear_cross_entropy=False)
    if COMPILED in names:
        for module in model.modules():
            if type(module).__name__.endswith(_ELEMENTWISE):
                module.compile(dynamic=True)
