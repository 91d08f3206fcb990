"""FSDP2: each process keeps its share of every weight and borrows the others' while it computes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from mozhu.engine.training.engines.flat.forward import causal_of


def shard(network: Any, device: str, processes: int) -> None:
    """Lay the weights of ``network`` out over ``processes``, block by block; it may lie on the CPU until now.

    The output layer belongs to the whole, which is gathered from its forward to the end of its backward: what reads
    its weight in between, as the loss of flat rows does, finds all of it.
    """
    mesh = init_device_mesh(device, (processes,))
    for block in blocks_of(network):
        fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)


def blocks_of(network: Any) -> list[nn.Module]:
    """The layers that the model's authors name as whole ones, else those that stand in its longest list."""
    causal = causal_of(network)
    names = set(getattr(causal, "_no_split_modules", None) or ())
    found = [module for module in causal.modules() if type(module).__name__ in names]
    if found:
        return found
    lists = [module for module in causal.modules() if isinstance(module, nn.ModuleList)]
    return list(sorted(lists, key=len)[-1]) if lists else []


def is_sharded(network: Any) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in network.parameters())


def let_go(network: Any) -> None:
    """Every process has its own share only. A forward without a backward keeps the borrowed weights of the whole,
    which later steps of the optimiser would not reach.
    """
    for module in network.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


def whole(value: Any) -> Any:
    """``value`` with every tensor gathered on the CPU; every process has to ask, in the same order."""
    if isinstance(value, DTensor):
        whole_one: Any = value.detach()
        return whole_one.full_tensor().cpu()
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return value


def whole_state(network: Any, *, keep: bool) -> dict[str, torch.Tensor]:
    """What is saved of ``network``: an adapter's own weights, else all of them; weights that are tied stay tied.

    Every process has to ask; those that do not ``keep`` it need the room of one weight only.
    """
    let_go(network)
    is_adapter = causal_of(network) is not network
    seen: dict[int, torch.Tensor] = {}
    found = {}
    for name, item in network.state_dict(keep_vars=True).items():
        if is_adapter and not item.requires_grad:
            continue
        if id(item) not in seen:
            told = whole(item).detach().cpu()
            seen[id(item)] = told if keep else torch.empty(0)
        found[name] = seen[id(item)]
    return found


def put_state(network: Any, saved: dict[str, torch.Tensor]) -> None:
    """Each process takes its share of the weights that a checkpoint holds, under the names that it holds them.

    Raises:
        KeyError: a trained weight is not in ``saved``.
    """
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            if parameter.requires_grad:
                parameter.copy_(like(saved[_saved_name(name)], parameter))


def like(value: torch.Tensor, parameter: Any) -> torch.Tensor:
    """``value`` laid out as ``parameter`` is; nothing is sent, for each process has all of it."""
    if not isinstance(parameter, DTensor) or value.shape != parameter.shape:
        return value
    there = value.to(device=parameter.device)
    return distribute_tensor(there, parameter.device_mesh, parameter.placements, src_data_rank=None)


def put_optimizer(optimizer: Any, saved: dict[str, Any]) -> None:
    """The optimiser goes on from ``saved``, in which every tensor is whole."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        number: {
            name: like(value, parameters[number]) if isinstance(value, torch.Tensor) else value
            for name, value in kept.items()
        }
        for number, kept in saved["state"].items()
    }
    optimizer.load_state_dict({**saved, "state": state})


def clip(network: Any, most: float) -> torch.Tensor:
    """Gradients of a norm of at most ``most`` over all processes; returns the norm that they had."""
    with_gradient = [item for item in network.parameters() if item.grad is not None]
    kinds = [part for part in apart(with_gradient) if part]
    norms = [_norm_of(part) for part in kinds]
    norm = torch.linalg.vector_norm(torch.stack(norms))
    for part in kinds:
        nn.utils.clip_grads_with_norm_(part, most, norm)
    return norm


def apart(parameters: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Those that are laid out over processes, and those that each has whole: one operator never takes both."""
    laid_out = [item for item in parameters if isinstance(item, DTensor)]
    return laid_out, [item for item in parameters if not isinstance(item, DTensor)]


def _norm_of(parameters: Sequence[Any]) -> torch.Tensor:
    norm: Any = nn.utils.get_total_norm([item.grad for item in parameters])
    found: torch.Tensor = norm.full_tensor() if isinstance(norm, DTensor) else norm
    return found


def _saved_name(name: str) -> str:
    """PEFT leaves the adapter's name out of its files."""
    return name.replace(".modules_to_save.default.", ".").replace(".default.", ".")
