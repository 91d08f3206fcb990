"""Stacked experts of a mixture that an adapter trained as one parameter (``target_parameters``).

The model in memory holds the experts of a layer as one tensor of three dimensions; its checkpoint may hold them so
too, or one matrix for each expert.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass

from mozhu.engine.export.adapter import PREFIX, Adapter
from mozhu.engine.export.names import BaseNames
from mozhu.kernel.texts import text

_LORA = re.compile(r"^(?P<module>.+?)(?P<depth>(?:\.base_layer)*)\.lora_(?P<part>[AB])\.weight$")
# The order in which the parameters of a layer of experts stand in its class: the first is wrapped innermost.
_ORDER = ("gate_up_proj", "gate_proj", "up_proj", "down_proj", "weight")
# What a checkpoint with one matrix for each expert calls the halves of ``gate_up_proj`` and the whole of the others.
_SPLIT = {
    "gate_up_proj": (("gate_proj", "up_proj"), ("w1", "w3")),
    "down_proj": (("down_proj",), ("w2",)),
}
_OTHER_MODULES = ((".mlp.experts", ".block_sparse_moe.experts"), (".mlp.experts", ".feed_forward.experts"))


@dataclass(frozen=True)
class ExpertPart:
    """One trained parameter. ``tensors``: names in the base, each with the expert it belongs to (-1: all of them, in
    one tensor), its first row in the parameter, and whether the base holds it as (in, out).
    """

    module: str
    a: str
    b: str
    scaling: float
    experts: int
    tensors: dict[str, tuple[int, int, bool]]


def plan_experts(adapter: Adapter, names: BaseNames) -> tuple[list[ExpertPart], list[str]]:
    """Every trained parameter with the tensors of the base that hold it, and what does not fit."""
    targets = [str(name) for name in adapter.config.get("target_parameters") or ()]
    parts: list[ExpertPart] = []
    problems: list[str] = []
    for module, by_depth in sorted(_wrapped(adapter, targets).items()):
        parameters = _parameters_of(module, targets)
        if len(parameters) != len(by_depth):
            listed = ", ".join(parameters) or "-"
            problems.append(text("export.reason.odd_parts", tensor=module, parts=listed))
            continue
        for parameter, (_, keys) in zip(parameters, sorted(by_depth.items(), reverse=True), strict=True):
            part = _part(adapter, names, module, parameter, keys)
            if isinstance(part, str):
                problems.append(part)
            else:
                parts.append(part)
    return parts, problems


def _wrapped(adapter: Adapter, targets: list[str]) -> dict[str, dict[int, dict[str, str]]]:
    """Module -> how deep the wrapper lies -> ``A`` and ``B`` -> key, of modules with a targeted parameter."""
    found: dict[str, dict[int, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
    for key in adapter.tensors.entries if targets else ():
        match = _LORA.match(key.removeprefix(PREFIX))
        if match and _parameters_of(match["module"], targets):
            found[match["module"]][match["depth"].count("base_layer")][match["part"]] = key
    return found


def _parameters_of(module: str, targets: list[str]) -> list[str]:
    """The targeted parameters of ``module`` in the order of its class."""
    short = {target.rpartition(".")[2] for target in targets}
    found = [name for name in short if any(f".{module}.{name}".endswith(f".{target}") for target in targets)]
    return sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else len(_ORDER), name))


def _part(
    adapter: Adapter, names: BaseNames, module: str, parameter: str, keys: dict[str, str]
) -> ExpertPart | str:
    """The part, or why there is none."""
    key = f"{module}.{parameter}"
    if set(keys) != {"A", "B"}:
        return text("export.reason.odd_parts", tensor=key, parts=", ".join(sorted(keys)))
    a, b = adapter.shape(keys["A"]), adapter.shape(keys["B"])
    whole = names.find(key)
    if whole is not None:
        shape = names.base.entries[whole].shape
        experts = shape[0] if len(shape) == 3 else 1
        tensors = {whole: (-1, 0, _is_turned(shape[-2:], (b[0], a[1]), names))}
    else:
        tensors = _split(names, module, parameter)
        experts = 1 + max((expert for expert, _, _ in tensors.values()), default=-1)
    if not tensors:
        return text("export.reason.not_in_base", tensor=key)
    stacked = f"[{experts}, {b[0]}, {a[1]}]"
    rank, rest = divmod(a[0], experts)
    if rest or a[0] != b[1] or not _fills(names, tensors, experts, b[0], a[1]):
        shown = list(names.base.entries[next(iter(tensors))].shape)
        return text("export.reason.shape", tensor=key, base=shown, adapter=stacked)
    scaling = adapter.scaling(key, rank)
    return ExpertPart(module, keys["A"], keys["B"], scaling, experts, tensors)


def _is_turned(shape: tuple[int, ...], made: tuple[int, int], names: BaseNames) -> bool:
    """Whether the base holds (in, out): by shape, or, where that is square, by the family's biases of experts."""
    if made[0] != made[1]:
        return shape == made[::-1]
    return any(name.endswith("experts.gate_up_proj_bias") for name in names.base.entries)


def _split(names: BaseNames, module: str, parameter: str) -> dict[str, tuple[int, int, bool]]:
    modules = [module, *(module.replace(old, new) for old, new in _OTHER_MODULES)]
    for place in dict.fromkeys(modules):
        for parts in _SPLIT.get(parameter, ((parameter,),)):
            found: dict[str, tuple[int, int, bool]] = {}
            expert = 0
            while True:
                here = [names.find(f"{place}.{expert}.{part}.weight") for part in parts]
                if None in here:
                    break
                row = 0
                for name in here:
                    found[name or ""] = (expert, row, False)
                    row += names.base.entries[name or ""].shape[0]
                expert += 1
            if found:
                return found
    return {}


def _fills(
    names: BaseNames, tensors: dict[str, tuple[int, int, bool]], experts: int, out: int, into: int
) -> bool:
    """Whether the tensors of the base together are ``experts`` matrices (out, in)."""
    shapes = {name: names.base.entries[name].shape for name in tensors}
    if any(expert < 0 for expert, _, _ in tensors.values()):
        return all(
            math.prod(shape) == experts * out * into and {*shape[-2:]} == {out, into}
            for shape in shapes.values()
        )
    rows = sum(shape[0] for shape in shapes.values())
    return rows == experts * out and all(shape[1] == into for shape in shapes.values())
