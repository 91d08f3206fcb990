"""A linear layer with its LoRA as one operator.

PEFT computes ``layer(x) + B(A(x)) * scaling`` from separate operators: with a base in bfloat16 and an adapter in
float32 that copies every activation to float32 and back, and holds several results of the layer's full width. Here
the low-rank product is added into the layer's own result, in the layer's number type as under autocast; the adapter
and its gradient stay in float32. In float32 both ways agree to rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from peft.tuners.lora.layer import Linear
from torch import nn
from torch.nn.functional import linear


def fuse_lora(network: nn.Module) -> int:
    """Every plain LoRA layer of ``network`` computes as one operator from now on; returns how many.

    Layers with dropout, DoRA, several active adapters or a quantised base keep PEFT's way.
    """
    count = 0
    for module in network.modules():
        if isinstance(module, Linear) and _is_plain(module):
            module.forward = _Fused(module)  # type: ignore[method-assign]
            count += 1
    return count


def unfuse_lora(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(vars(module).get("forward"), _Fused):
            del module.forward


class _Fused:
    """The layer's own forward where something is asked that the operator does not do."""

    def __init__(self, layer: Linear) -> None:
        self._layer = layer

    def __call__(self, x: torch.Tensor, *args: Any, **more: Any) -> torch.Tensor:
        layer = self._layer
        if args or more or layer.disable_adapters or layer.merged:
            found: torch.Tensor = type(layer).forward(layer, x, *args, **more)
            return found
        name = layer.active_adapters[0]
        base = layer.get_base_layer()
        result: torch.Tensor = _LoraLinear.apply(
            x,
            base.weight,
            base.bias,
            layer.lora_A[name].weight,
            layer.lora_B[name].weight,
            layer.scaling[name],
        )
        return result


class _LoraLinear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scaling: float,
    ) -> torch.Tensor:
        flat = x.reshape(-1, x.shape[-1])
        small_down, small_up = down.to(x.dtype), up.to(x.dtype)
        inner = flat @ small_down.T
        result = linear(flat, weight, bias)
        result.addmm_(inner, small_up.T, alpha=scaling)
        ctx.save_for_backward(flat, inner, weight, small_down, small_up)
        ctx.scaling, ctx.types = scaling, (down.dtype, up.dtype)
        return result.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        flat, inner, weight, down, up = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])
        back = rows @ up
        grad_up = (rows.T @ inner).to(ctx.types[1]).mul_(ctx.scaling)
        grad_down = (back.T @ flat).to(ctx.types[0]).mul_(ctx.scaling)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = rows @ weight
            grad_x.addmm_(back, down, alpha=ctx.scaling)
            grad_x = grad_x.view(*grad.shape[:-1], -1)
        return grad_x, None, None, grad_down, grad_up, None


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
