"""The low-rank factors of a LoRA adapter, module by module, and what can be measured of their products without ever
making one.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import torch

from mozhu.engine.export.adapter import PREFIX, Adapter
from mozhu.engine.export.open_edits import read_tensor
from mozhu.kernel.texts import text

_FACTOR = re.compile(r"^(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<side>[AB])(?:\.weight)?$")


@dataclass(frozen=True)
class Factors:
    """ΔW = ``scaling`` · ``b`` · ``a``, of an embedding its transpose; ``a`` (rank, in), ``b`` (out, rank)."""

    module: str
    a: torch.Tensor
    b: torch.Tensor
    scaling: float
    embedding: bool = False

    @property
    def rank(self) -> int:
        return int(self.a.shape[0])

    @property
    def length(self) -> float:
        """‖ΔW‖."""
        return math.sqrt(max(inner(self, self), 0.0))

    def delta(self) -> torch.Tensor:
        return self.b.float() @ self.a.float() * self.scaling

    def singular_values(self) -> torch.Tensor:
        """Of ΔW, from the two small triangles of its factors."""
        left = torch.linalg.qr(self.b.double()).R
        right = torch.linalg.qr(self.a.double().T).R
        return torch.linalg.svdvals(left @ right.T) * abs(self.scaling)


def inner(one: Factors, other: Factors) -> float:
    """⟨ΔW, ΔW'⟩: the trace of two products of small matrices."""
    left = one.b.double().T @ other.b.double()
    right = one.a.double() @ other.a.double().T
    return float((left * right).sum()) * one.scaling * other.scaling


def factors_of(adapter: Adapter) -> dict[str, Factors]:
    """By module, in the order of the names; what is no factor is left out."""
    keys: dict[str, dict[str, str]] = {}
    for key in sorted(adapter.tensors.entries):
        if match := _FACTOR.match(key.removeprefix(PREFIX)):
            sides = keys.setdefault(match["module"], {})
            sides[match["side"]] = key
            sides["embedding"] = match["embedding"] or ""
    found = {}
    for module, sides in keys.items():
        if "A" in sides and "B" in sides:
            a, b = (read_tensor(adapter.tensors, sides[side]) for side in "AB")
            scaling = adapter.scaling(module, a.shape[0])
            found[module] = Factors(module, a, b, scaling, bool(sides["embedding"]))
    return found


def reasons_against_arithmetic(adapter: Adapter) -> list[str]:
    """Why what this adapter does to a weight is no plain sum, each by name."""
    name = adapter.folder.name
    if adapter.kind != "LORA":
        return [text("export.reason.not_lora", name=name, kind=adapter.kind)]
    reasons = [text("export.reason.dora", name=name)] if adapter.config.get("use_dora") else []
    if adapter.config.get("target_parameters"):
        reasons.append(text("export.reason.experts", name=name))
    whole = [key for key in adapter.tensors.entries if not _FACTOR.match(key.removeprefix(PREFIX))]
    whole = [key for key in whole if not key.endswith("lora_magnitude_vector")]
    if whole:
        reasons.append(text("export.reason.whole_tensors", name=name, tensor=whole[0].removeprefix(PREFIX)))
    return reasons
