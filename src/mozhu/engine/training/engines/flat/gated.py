"""The end of a gated feed-forward block as one operator: activation, product and the last layer with its LoRA.

Of the four wide activations that go into it transformers keeps all; here the two stay that cannot be made from the
others without a matrix product, and the rest is made again going back (Shazeer, 2020, arXiv:2002.05202 names the
blocks).
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import nn
from torch.nn.functional import gelu, silu

from mozhu.engine.training.engines.flat.lora import FusedLora, LoraProduct, Operands
from mozhu.engine.training.engines.flat.trial import agrees, close

_PARTS = ("gate_proj", "up_proj", "down_proj")


class _Activation(Protocol):
    def ahead(self, x: torch.Tensor) -> torch.Tensor: ...

    def back(self, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor: ...


class _Silu:
    def ahead(self, x: torch.Tensor) -> torch.Tensor:
        return silu(x)

    def back(self, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.ops.aten.silu_backward(grad, x)
        return found


class _GeluTanh:
    def ahead(self, x: torch.Tensor) -> torch.Tensor:
        return gelu(x, approximate="tanh")

    def back(self, grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.ops.aten.gelu_backward(grad, x, approximate="tanh")
        return found


def fuse_gates(network: nn.Module) -> int:
    """Every gated feed-forward block of ``network`` whose last layer is a fused LoRA ends in one operator from now
    on; returns how many. One of each kind is compared with the kind's own way.
    """
    known: dict[type[nn.Module], bool] = {}
    count = 0
    modules: Any = network.modules()
    for module in modules:
        operator = _operator(module)
        if operator is None:
            continue
        kind = type(module)
        if kind not in known:
            width = operator.down.operands().weight.shape[0]
            known[kind] = agrees(module, operator, width)
        if known[kind]:
            module.forward = operator
            count += 1
    return count


def _operator(module: nn.Module) -> GatedLora | None:
    parts = dict(module.named_children())
    act = getattr(module, "act_fn", None)
    if not parts.keys() >= set(_PARTS) or set(parts) - {*_PARTS, "act_fn"} or act is None:
        return None
    down = vars(parts["down_proj"]).get("forward")
    activation = _activation(act)
    if not isinstance(down, FusedLora) or activation is None:
        return None
    return GatedLora(module, down, activation)


def _activation(given: Any) -> _Activation | None:
    places = torch.linspace(-6, 6, 97)
    known: tuple[_Activation, ...] = (_Silu(), _GeluTanh())
    return next((one for one in known if close(one.ahead(places), given(places))), None)


class GatedLora:
    """The block's own forward where its last layer is asked for more than the operator does."""

    def __init__(self, block: Any, down: FusedLora, activation: _Activation) -> None:
        self._block, self.down, self._activation = block, down, activation

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        block = self._block
        if not self.down.is_usable:
            found: torch.Tensor = type(block).forward(block, x)
            return found
        gate, up = block.gate_proj(x), block.up_proj(x)
        result: torch.Tensor = _GatedEnd.apply(gate, up, self._activation, *self.down.operands())
        return result


class _GatedEnd(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gate: torch.Tensor, up: torch.Tensor, activation: _Activation, *given: Any
    ) -> torch.Tensor:
        operands = Operands(*given)
        ctx.product, ctx.activation = LoraProduct(operands), activation
        result, kept = ctx.product.ahead(activation.ahead(gate).mul_(up), operands)
        ctx.save_for_backward(gate, up, *kept)
        return result

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gate, up, *kept = ctx.saved_tensors
        opened = ctx.activation.ahead(gate)
        slopes, down, raised = ctx.product.back(grad, opened * up, tuple(kept))
        assert slopes is not None
        back_up = opened.mul_(slopes)
        back_gate = ctx.activation.back(slopes.mul_(up), gate)
        return back_gate, back_up, None, None, None, down, raised, None
