"""The operators of a network that is trained on flat rows, put in and taken out."""

from __future__ import annotations

from torch import nn

from mozhu.engine.training.engines.flat.gated import GatedLora, fuse_gates
from mozhu.engine.training.engines.flat.lora import FusedLora, fuse_lora
from mozhu.engine.training.engines.flat.norms import FusedNorm, fuse_norms


def fuse(network: nn.Module) -> dict[str, int]:
    """Parts of ``network`` that compute as one operator from now on, by their kind; the rest stays as it is."""
    return {"lora": fuse_lora(network), "gates": fuse_gates(network), "norms": fuse_norms(network)}


def unfuse(network: nn.Module) -> None:
    """Every part computes in its own way again."""
    for module in network.modules():
        if isinstance(vars(module).get("forward"), (FusedLora, FusedNorm, GatedLora)):
            del module.forward
