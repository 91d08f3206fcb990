"""Training without its matrix products, for the memory alone: whatever a step allocates, in seconds, on any CPU.

A CPU without bfloat16 products needs minutes for a step of half a billion parameters, and what a step holds does not
depend on what the products give. Here they give zeros of the right shape, and the weights are only looked through, so
that they are resident as they are where they are multiplied. All sides get the same. PyTorch alone: it runs in each
peer's environment.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_PAGE = 1024  # numbers: in each type at least one look a page


class WithoutProducts(TorchDispatchMode):
    """While it lasts, and in this thread."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        more, name = kwargs or {}, str(func.overloadpacket)
        own = _OWN.get(name)
        return func(*args, **more) if own is None else own(func, *args, **more)


def _mm(func: Any, a: Any, b: Any, *, out: Any = None) -> Any:
    return _nothing(a, b, out)


def _addmm(func: Any, added: Any, a: Any, b: Any, *, out: Any = None, **more: Any) -> Any:
    in_place = str(func.overloadpacket).endswith("_")
    return _nothing(a, b, added if in_place else out)


def _nothing(a: Any, b: Any, out: Any) -> Any:
    for one in (a, b):
        rows = one if one.is_contiguous() else one.t()
        if rows.is_contiguous():
            rows.view(-1)[::_PAGE].sum()
    return (a.new_empty(a.shape[0], b.shape[1]) if out is None else out).zero_()


def _in_float32(func: Any, *args: Any, **more: Any) -> Any:
    """Attention is small: in float32, which every CPU multiplies; sums of exponents stay so."""
    if not any(isinstance(one, torch.Tensor) and one.dtype == torch.bfloat16 for one in args):
        return func(*args, **more)
    found = func(*(_wide(one) for one in args), **{name: _wide(one) for name, one in more.items()})
    if isinstance(found, torch.Tensor):
        return found.bfloat16()
    return tuple(one.bfloat16() if isinstance(one, torch.Tensor) and one.dim() == 4 else one for one in found)


def _wide(one: Any) -> Any:
    return one.float() if isinstance(one, torch.Tensor) and one.dtype == torch.bfloat16 else one


_OWN = {
    "aten.mm": _mm,
    "aten.addmm": _addmm,
    "aten.addmm_": _addmm,
    "aten.bmm": _in_float32,
    "aten._scaled_dot_product_flash_attention_for_cpu": _in_float32,
    "aten._scaled_dot_product_flash_attention_for_cpu_backward": _in_float32,
}
