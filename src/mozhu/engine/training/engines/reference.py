"""The model as it was before training, which preferences are measured against."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from peft import PeftModel

from mozhu.engine.training.engines.flat.forward import make_flat
from mozhu.engine.training.engines.preference import Reference


def reference_of(network: Any) -> Reference:
    """An adapter's reference is its base with the adapter switched off; a full model's is a copy made now.

    PiSSA moves a part of the base into the adapter, so its reference is a copy, too.
    """
    if isinstance(network, PeftModel) and not _has_moved_base(network):
        return _switched_off
    model = copy.deepcopy(network).eval().requires_grad_(False)
    make_flat(model)

    @contextmanager
    def copied(_: Any) -> Iterator[Any]:
        yield model

    return copied


@contextmanager
def _switched_off(network: Any) -> Iterator[Any]:
    inner = network.module if hasattr(network, "module") and not isinstance(network, PeftModel) else network
    with inner.disable_adapter():
        yield network


def _has_moved_base(network: Any) -> bool:
    inits = [getattr(config, "init_lora_weights", True) for config in network.peft_config.values()]
    return any(isinstance(init, str) and init.startswith(("pissa", "olora", "corda")) for init in inits)
