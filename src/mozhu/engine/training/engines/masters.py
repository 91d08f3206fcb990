"""Weights of half the width that are learned in float32 (master weights, Micikevicius et al., 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.optim import Optimizer

_MASTER = "master"
_HALF = (torch.bfloat16, torch.float16)


def needs_masters(network: Any) -> bool:
    """Whether something is trained whose steps would be lost in rounding."""
    return any(item.dtype in _HALF for item in network.parameters() if item.requires_grad)


class MasterWeights(Optimizer):
    """``inner`` works on float32 copies of its weights; after each step the network gets them rounded.

    Groups, rates and gradients are seen from outside as those of the network's own weights. The copies are part of
    the optimiser's state, so a resumed run goes on from them and not from what they were rounded to.
    """

    def __init__(self, inner: Optimizer) -> None:
        self.inner = inner
        own = [dict(group) for group in inner.param_groups]
        super().__init__(own, dict(inner.defaults))
        for group in inner.param_groups:
            group["params"] = [_copy(item) for item in group["params"]]

    def step(self, closure: Any = None) -> Any:
        """One step of ``inner``; a gradient is let go as soon as its copy is there."""
        loss = closure() if closure is not None else None
        self._tell()
        for own, group in zip(self.param_groups, self.inner.param_groups):
            for item, master in _apart(own, group):
                master.grad = None if item.grad is None else item.grad.to(master.dtype)
                item.grad = None
        self.inner.step()
        self._round()
        return loss

    @torch.no_grad()
    def _round(self) -> None:
        for own, group in zip(self.param_groups, self.inner.param_groups):
            for item, master in _apart(own, group):
                item.copy_(master)
                master.grad = None

    def state_dict(self) -> dict[str, Any]:
        """That of ``inner`` with each weight's copy among its state."""
        self._tell()
        found = self.inner.state_dict()
        state = dict(found["state"])
        for number, master in self._copies():
            state[number] = {**state.get(number, {}), _MASTER: master.detach()}
        return {**found, "state": state}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        state = {number: dict(kept) for number, kept in state_dict["state"].items()}
        for number, master in self._copies():
            if (kept := state.get(number, {}).pop(_MASTER, None)) is not None:
                master.copy_(kept)
        rest = {number: kept for number, kept in state.items() if kept}
        self.inner.load_state_dict({**state_dict, "state": rest})
        for own, group in zip(self.param_groups, self.inner.param_groups):
            own.update({name: value for name, value in group.items() if name != "params"})
        self._round()

    def _tell(self) -> None:
        """``inner`` knows the rates that a schedule has set here."""
        for own, group in zip(self.param_groups, self.inner.param_groups):
            group.update({name: value for name, value in own.items() if name != "params"})

    def _copies(self) -> Iterator[tuple[int, torch.Tensor]]:
        """The copies, with the numbers that their weights have in a state."""
        own = [item for group in self.param_groups for item in group["params"]]
        inner = [item for group in self.inner.param_groups for item in group["params"]]
        for number, (item, master) in enumerate(zip(own, inner)):
            if master is not item:
                yield number, master


def _apart(own: dict[str, Any], group: dict[str, Any]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The weights of a group that have a copy, each with it."""
    return [(item, copy) for item, copy in zip(own["params"], group["params"]) if copy is not item]


def _copy(item: torch.Tensor) -> torch.Tensor:
    return item.detach().float().requires_grad_() if item.dtype in _HALF else item
