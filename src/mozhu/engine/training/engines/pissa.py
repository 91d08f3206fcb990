"""PiSSA: an adapter that begins as the principal part of its base's weights (Meng et al., 2024, arXiv:2404.02948).

The base keeps the rest, so what is trained stands on a base that is on no disk. Two things keep that honest: the
adapter as it began is kept in the run folder, so that a resumed run stands on the same rest to the last bit; and
what is saved is the plain LoRA between the base's own files and the trained network, of twice the rank.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from peft.tuners.lora.layer import Linear
from safetensors.torch import load_file, save, save_file

from mozhu.kernel.errors import UnsupportedTraining
from mozhu.kernel.files import replacing

# In the run folder, from the start of the training to its end.
BEGINNING = "pissa_beginning.safetensors"
_ADAPTER = "default"
_LORA_A, _LORA_B = ".lora_A.weight", ".lora_B.weight"


@dataclass(frozen=True)
class Beginning:
    """The adapter as it began: by layer's name its ``lora_A`` and ``lora_B``."""

    parts: dict[str, tuple[torch.Tensor, torch.Tensor]]


def begin_pissa(network: Any, folder: Path) -> Beginning:
    """Move the principal part of each target's weight into its adapter; the same part when ``folder`` has one.

    Raises:
        UnsupportedTraining: TRAIN-002, a target shares its weight with another layer.
    """
    kept = folder / BEGINNING
    layers = dict(_layers(network))
    _check_own_weights(network, layers)
    found = _read(kept) if kept.is_file() else {name: _principal(layer) for name, layer in layers.items()}
    if not kept.is_file():
        _write(found, kept)
    for name, layer in layers.items():
        _take_out(layer, *found[name])
    for config in network.peft_config.values():
        config.init_lora_weights = "pissa"  # what checkpoints say of themselves
    return Beginning(found)


def save_as_lora(
    network: Any, beginning: Beginning, folder: Path, state: dict[str, torch.Tensor] | None = None
) -> None:
    """Write the adapter that turns the base as it is on disk into ``network``: B·A less what it began as.

    ``state``: the whole network's tensors, where processes share them out.
    """
    config = network.peft_config[_ADAPTER]
    tensors = get_peft_model_state_dict(network, state_dict=state)
    rank = 0
    for name, layer in _layers(network):
        down, up = (part.to(torch.float32).cpu() for part in beginning.parts[name])
        scaling = layer.scaling[_ADAPTER]
        a, b = (f"{name}{end}" for end in (_LORA_A, _LORA_B))
        tensors[a] = torch.cat([tensors[a].cpu().float(), down])
        tensors[b] = torch.cat([tensors[b].cpu().float() * scaling, -scaling * up], dim=1)
        rank = tensors[a].shape[0]
    whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    _plain(config, rank).save_pretrained(str(folder))


def _plain(config: LoraConfig, rank: int) -> LoraConfig:
    """Scaling 1: it is in B already."""
    changed = {**config.to_dict(), "r": rank, "lora_alpha": rank, "use_rslora": False}
    known = {name: value for name, value in changed.items() if name in LoraConfig.__dataclass_fields__}
    plain = LoraConfig(**{**known, "init_lora_weights": True, "inference_mode": True})
    plain.base_model_name_or_path = config.base_model_name_or_path
    return plain


def _layers(network: Any) -> Iterator[tuple[str, Any]]:
    for name, module in network.named_modules():
        if isinstance(module, Linear) and _ADAPTER in module.lora_A:
            yield name, module


def _principal(layer: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``r`` largest singular values with their vectors, halved between A and B; PEFT's own formula."""
    rank, scaling = layer.r[_ADAPTER], layer.scaling[_ADAPTER]
    base = layer.get_base_layer()
    weight = _seen(layer, base.weight.detach()).to(torch.float32)
    left, values, right = torch.linalg.svd(weight, full_matrices=False)
    root = torch.sqrt(values[:rank] / scaling)
    down = torch.zeros(rank, weight.shape[1], device=weight.device)
    up = torch.zeros(weight.shape[0], rank, device=weight.device)
    down[: len(root)] = root[:, None] * right[:rank]  # a layer may have fewer sides than the rank
    up[:, : len(root)] = left[:, :rank] * root
    return down, up


def _take_out(layer: Any, down: torch.Tensor, up: torch.Tensor) -> None:
    with torch.no_grad():
        base = layer.get_base_layer()
        down, up = down.to(base.weight.device), up.to(base.weight.device)
        layer.lora_A[_ADAPTER].weight.copy_(down)
        layer.lora_B[_ADAPTER].weight.copy_(up)
        principal = _seen(layer, layer.scaling[_ADAPTER] * (up @ down))
        base.weight.copy_((base.weight.to(torch.float32) - principal).to(base.weight.dtype))


def _seen(layer: Any, weight: torch.Tensor) -> torch.Tensor:
    """(out, in); layers that keep their weight the other way round are turned."""
    return weight.T if layer.fan_in_fan_out else weight


def _check_own_weights(network: Any, layers: dict[str, Any]) -> None:
    """Taking a part out of a weight that another layer reads too would change that layer."""
    embedding = network.get_base_model().get_input_embeddings()
    for name, layer in layers.items():
        if layer.get_base_layer().weight is embedding.weight:
            module = name.rpartition(".")[2]
            raise UnsupportedTraining(
                train_type=f"lora_init=pissa ({module})", path=network.config._name_or_path
            )


def _read(path: Path) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    tensors = load_file(path)
    names = [name.removesuffix(_LORA_A) for name in tensors if name.endswith(_LORA_A)]
    return {name: (tensors[name + _LORA_A], tensors[name + _LORA_B]) for name in names}


def _write(parts: dict[str, tuple[torch.Tensor, torch.Tensor]], path: Path) -> None:
    tensors = {}
    for name, (down, up) in parts.items():
        tensors[name + _LORA_A], tensors[name + _LORA_B] = down.cpu(), up.cpu()
    with replacing(path) as file:
        file.write(save(tensors))
