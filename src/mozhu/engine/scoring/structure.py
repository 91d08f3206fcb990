"""Whether two models are built alike: the same tensors in the same shapes, shared where they were shared."""

from __future__ import annotations

from collections.abc import Sequence

from mozhu.engine.weights.adapter_fit import place_of
from mozhu.engine.weights.folder import ModelFolder
from mozhu.specs.records.certificate import Check

_HEADS = ("lm_head.weight", "output.weight", "embed_out.weight")
_SHARED = ("lm_head", "embed_tokens", "embed_out", "wte", "output")
_SHOWN = 8


def merged_structure(base: ModelFolder, adapters: Sequence[ModelFolder], merged: ModelFolder) -> list[Check]:
    """A merged model has its base's tensors, and the layer that the adapter parted from another one.

    An adapter may replace a tensor by one of another shape; it may part an output layer from the embedding that it
    shared its weights with, when it changed one of the two.
    """
    names = [name for adapter in adapters for name in adapter.tensors]
    parts = any(word in name.split(".") for name in names for word in _SHARED)
    replaced = {
        place_of(name.removeprefix("base_model.model.").replace(".modules_to_save", ""))
        for name in names
        if ".lora_" not in name
    }
    return [
        _tensors(base, merged, "merge", extra_head=parts, replaced=replaced),
        _tying(base, merged, "merge", may_part=parts),
    ]


def same_structure(source: ModelFolder, copy: ModelFolder, kind: str) -> list[Check]:
    """``copy`` has the tensors of ``source`` by name and shape, and shares those that were shared."""
    if source.kind == "adapter":
        return [_tensors(source, copy, kind, extra_head=False, replaced=set())]
    checks = [_tensors(source, copy, kind, extra_head=False, replaced=set())]
    return [*checks, _tying(source, copy, kind, may_part=False)]


def _tensors(
    first: ModelFolder, second: ModelFolder, kind: str, *, extra_head: bool, replaced: set[str]
) -> Check:
    before, after = _by_place(first), _by_place(second)
    odd = []
    for place in sorted(before.keys() | after.keys()):
        if place in before and place in after:
            if before[place] != after[place] and place not in replaced:
                odd.append(place)
        elif place.endswith(_HEADS):
            there = second if place in after else first
            # A head that is the embedding may be written or left out; one of its own may not appear by itself.
            if not (there.tied or (place in after and extra_head)):
                odd.append(place)
        elif place not in replaced:
            odd.append(place)
    return Check.of("tensors_matched", len(odd), kind, differing=odd[:_SHOWN] or None)


def _tying(first: ModelFolder, second: ModelFolder, kind: str, *, may_part: bool) -> Check:
    same = first.tied == second.tied or (may_part and first.tied)
    return Check.of("tying_equal", same, kind)


def _by_place(folder: ModelFolder) -> dict[str, tuple[int, ...]]:
    return {place_of(name): tuple(info.shape) for name, info in folder.tensors.items()}
