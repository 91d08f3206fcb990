"""Ways to make one adapter of several.

``linear``, ``cat``, ``svd``, ``ties``, ``dare_linear``, ``dare_ties``, ``magnitude_prune`` and their ``…_svd`` are
those of PEFT's ``add_weighted_adapter``. Without ``_svd`` they mix the factors A and B each for itself, so ``linear``
is not the sum of what the adapters do; with it they mix the products and cut them to the rank. ``sum`` is our own:
Σ wᵢ·ΔWᵢ exactly, of the summed ranks. TIES is arXiv:2306.01708, DARE arXiv:2311.03099.
"""

from __future__ import annotations

import hashlib
import math

import torch

from mozhu.engine.export.adapters.factors import Factors

OF_FACTORS = ("linear", "ties", "dare_linear", "dare_ties", "magnitude_prune")


def combined(
    parts: list[tuple[Factors, float]], method: str, rank: int, density: float, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A and B whose product, with a scaling of 1, is what ``method`` makes of the weighted ``parts`` of one module."""
    chance = torch.Generator().manual_seed(module_seed(seed, parts[0][0].module))
    if method in ("cat", "sum"):
        return _side_by_side(parts, balanced=method == "sum")
    strengths = [weight * part.scaling for part, weight in parts]
    if method in OF_FACTORS:
        roots = [math.sqrt(abs(strength)) for strength in strengths]
        signed = [math.copysign(root, strength) for root, strength in zip(roots, strengths, strict=True)]
        a = _mixed([part.a.float() for part, _ in parts], signed, method, density, chance)
        return a, _mixed([part.b.float() for part, _ in parts], roots, method, density, chance)
    deltas = [part.delta() for part, _ in parts]
    plain = "linear" if method == "svd" else method.removesuffix("_svd")
    return cut_to_rank(_mixed(deltas, [weight for _, weight in parts], plain, density, chance), rank)


def module_seed(seed: int, module: str) -> int:
    """The seed of a module's dice: the same whatever other modules there are."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{module}".encode()).digest()[:6], "little")


def cut_to_rank(delta: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest product of that rank (Eckart–Young): A holds right singular vectors, B the left ones scaled."""
    left, values, right = torch.linalg.svd(delta, full_matrices=False)
    return right[:rank].contiguous(), left[:, :rank] * values[:rank]


def _side_by_side(parts: list[tuple[Factors, float]], *, balanced: bool) -> tuple[torch.Tensor, torch.Tensor]:
    rows, columns = [], []
    for part, weight in parts:
        strength = weight * part.scaling
        root = math.sqrt(abs(strength)) if balanced else 1.0
        rows.append(part.a.float() * (strength / root if root else 0.0))
        columns.append(part.b.float() * root)
    return torch.cat(rows), torch.cat(columns, dim=1)


def _mixed(
    tensors: list[torch.Tensor], weights: list[float], method: str, density: float, chance: torch.Generator
) -> torch.Tensor:
    if method.startswith("dare"):
        tensors = [_thinned(tensor, density, chance) for tensor in tensors]
    elif method in ("ties", "magnitude_prune"):
        tensors = [_largest(tensor, density) for tensor in tensors]
    stacked = torch.stack(tensors)
    weighed = stacked * torch.tensor(weights).view(-1, *(1,) * tensors[0].dim())
    if not method.endswith("ties"):
        return weighed.sum(0)
    agreeing = stacked.sign() == torch.where(stacked.sum(0) >= 0, 1, -1)
    return (weighed * agreeing).sum(0) / agreeing.sum(0).clamp(min=1.0)


def _thinned(tensor: torch.Tensor, density: float, chance: torch.Generator) -> torch.Tensor:
    if density >= 1:
        return tensor
    return tensor * torch.bernoulli(torch.full_like(tensor, density), generator=chance) / density


def _largest(tensor: torch.Tensor, density: float) -> torch.Tensor:
    if density >= 1:
        return tensor
    mask = torch.zeros_like(tensor).reshape(-1)
    mask[torch.topk(tensor.abs().reshape(-1), int(density * tensor.numel())).indices] = 1
    return tensor * mask.reshape(tensor.shape)
