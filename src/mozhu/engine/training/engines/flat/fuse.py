"""The operators of a network that is trained on flat rows, put in and taken out."""

from __future__ import annotations

from torch import nn

from mozhu.engine.training.engines.flat.gated import GatedLora, fuse_gates
from mozhu.engine.training.engines.flat.lora import FusedLora, fuse_lora
from mozhu.engine.training.engines.flat.norms import FusedNorm, fuse_norms
from mozhu.engine.training.engines.flat.thrift import is_wide


def fuse(network: nn.Module, *, thrifty: bool | None = None) -> dict[str, int]:
    """Parts of ``network`` that compute as one operator from now on, by their kind; the rest stays as it is.

    Gates and norms only where it is to be ``thrifty``, by itself where it is wide: they save memory, and a narrow one
    loses time by them.
    """
    found = {"lora": fuse_lora(network)}
    if is_wide(network) if thrifty is None else thrifty:
        found |= {"gates": fuse_gates(network), "norms": fuse_norms(network)}
    return found


def unfuse(network: nn.Module) -> None:
    """Every part computes in its own way again."""
    for module in network.modules():
        if isinstance(vars(module).get("forward"), (FusedLora, FusedNorm, GatedLora)):
            del module.forward
