"""The first layers of a model, as many as show every kind of layer that it has."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

_FEWEST = 2  # what one layer hands to the next is tried as well
_OF_ONE_LAYER = {"layer_idx", "layer_id", "training"}
_PLAIN = (bool, int, float, str, type(None))


@contextmanager
def first_of_each_kind(model: Any) -> Iterator[bool]:
    """In the block ``model``'s decoder ends after the first layers, that every kind is among; tells whether it does.

    Layers keep their places, so what a configuration says of a place stays true. It does not where a model's layers
    are not found as one list, or all of them would be needed.
    """
    decoder = model.get_decoder()
    layers: Any = getattr(decoder, "layers", None)
    whole = len(layers) if isinstance(layers, nn.ModuleList) else 0
    count = how_many(layers) if whole else 0
    if count >= whole or whole != decoder.config.num_hidden_layers:
        yield False
        return
    decoder.layers = layers[:count]
    try:
        yield True
    finally:
        decoder.layers = layers


def how_many(layers: nn.ModuleList) -> int:
    """How many of the first ``layers`` there must be so that each kind is among them."""
    seen: dict[Hashable, int] = {}
    for place, layer in enumerate(layers):
        seen.setdefault(_kind(layer), place)
    return max(_FEWEST, 1 + max(seen.values(), default=0))


def _kind(layer: nn.Module) -> Hashable:
    """Equal for layers that do the same with other weights: classes of their modules, and plain values in these."""
    return tuple((name, type(module), _values(module)) for name, module in layer.named_modules())


def _values(module: nn.Module) -> Hashable:
    return tuple(
        sorted(
            (name, repr(value))
            for name, value in vars(module).items()
            if isinstance(value, _PLAIN) and name not in _OF_ONE_LAYER
        )
    )
