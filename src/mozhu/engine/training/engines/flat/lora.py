"""A linear layer with its LoRA as one operator.

PEFT computes ``layer(x) + B(A(x)) * scaling`` from separate operators: with a base in bfloat16 and an adapter in
float32 that copies every activation to float32 and back, and holds several results of the layer's full width. Here
the low-rank product is added into the layer's own result, in the layer's number type as under autocast; the adapter
and its gradient stay in float32. In float32 both ways agree to rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from peft.tuners.lora.layer import Linear
from torch import nn
from torch.nn.functional import linear


class Operands(NamedTuple):
    """The base's ``weight`` and ``bias``, the adapter's ``down`` (rank, in) and ``up`` (out, rank)."""

    weight: torch.Tensor
    bias: torch.Tensor | None
    down: torch.Tensor
    up: torch.Tensor
    scaling: float


def fuse_lora(network: nn.Module) -> int:
    """Every plain LoRA layer of ``network`` computes as one operator from now on; returns how many.

    Layers with dropout, DoRA, several active adapters or a quantised base keep PEFT's way.
    """
    count = 0
    for module in network.modules():
        if isinstance(module, Linear) and _is_plain(module):
            module.forward = FusedLora(module)  # type: ignore[method-assign]
            count += 1
    return count


class FusedLora:
    """The layer's own forward where something is asked that the operator does not do."""

    def __init__(self, layer: Linear) -> None:
        self._layer = layer

    @property
    def is_usable(self) -> bool:
        return not self._layer.disable_adapters and not self._layer.merged

    def operands(self) -> Operands:
        layer: Any = self._layer
        name = layer.active_adapters[0]
        base = layer.get_base_layer()
        down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
        return Operands(base.weight, base.bias, down, up, layer.scaling[name])

    def __call__(self, x: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
        layer = self._layer
        if args or more or not self.is_usable:
            found: torch.Tensor = type(layer).forward(layer, x, *args, **more)
            return found
        result: torch.Tensor = _LoraLinear.apply(x, *self.operands())
        return result


class LoraProduct:
    """Forward and back of one layer, for an operator that keeps what goes in, or makes it again."""

    def __init__(self, given: Operands) -> None:
        self._scaling = given.scaling
        self._types = (given.down.dtype, given.up.dtype)

    def ahead(self, x: torch.Tensor, given: Operands) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """The result, and what :meth:`back` wants to have kept beside ``x``."""
        flat = x.reshape(-1, x.shape[-1])
        down, up = given.down.to(x.dtype), given.up.to(x.dtype)
        inner = flat @ down.T
        result = linear(flat, given.weight, given.bias)
        result.addmm_(inner, up.T, alpha=self._scaling)
        return result.view(*x.shape[:-1], -1), (inner, given.weight, down, up)

    def back(
        self, grad: torch.Tensor, x: torch.Tensor, kept: tuple[torch.Tensor, ...], *, wants_x: bool = True
    ) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor]:
        """The gradients of ``x``, ``down`` and ``up``."""
        inner, weight, down, up = kept
        rows, flat = grad.reshape(-1, grad.shape[-1]), x.reshape(-1, x.shape[-1])
        through = rows @ up
        grad_up = (rows.T @ inner).to(self._types[1]).mul_(self._scaling)
        grad_down = (through.T @ flat).to(self._types[0]).mul_(self._scaling)
        if not wants_x:
            return None, grad_down, grad_up
        grad_x = rows @ weight
        grad_x.addmm_(through, down, alpha=self._scaling)
        return grad_x.view(x.shape), grad_down, grad_up


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, *given: Any) -> torch.Tensor:
        operands = Operands(*given)
        ctx.product = LoraProduct(operands)
        result, kept = ctx.product.ahead(x, operands)
        ctx.save_for_backward(x, *kept)
        return result

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, *kept = ctx.saved_tensors
        grad_x, down, up = ctx.product.back(grad, x, tuple(kept), wants_x=ctx.needs_input_grad[0])
        return grad_x, None, None, down, up, None


def _is_plain(layer: Linear) -> bool:
    names = [name for name in layer.active_adapters if name in layer.lora_A]
    if len(names) != 1 or len(layer.active_adapters) != 1 or layer.merged:
        return False
    name, base = names[0], layer.get_base_layer()
    return (
        type(base) is nn.Linear
        and base.weight.is_floating_point()
        and not base.weight.requires_grad
        and not (base.bias is not None and base.bias.requires_grad)
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and name not in layer.lora_variant
        and not layer.fan_in_fan_out
        and not layer.lora_bias.get(name, False)
    )
