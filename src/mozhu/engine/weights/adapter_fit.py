"""Whether an adapter's tensors fit the base they are to be put on, from the headers of both."""

from __future__ import annotations

import re
from collections.abc import Callable

from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.headers import TensorInfo
from mozhu.engine.weights.problems import lines, problem
from mozhu.kernel.errors import AdapterDoesNotFit

_PREFIX = "base_model.model."
_LORA = re.compile(
    r"^(?P<module>.+)\.lora_(?P<part>embedding_[AB]|[AB]|magnitude_vector)(?:\.weight|\.default.*)?$"
)
_SCALED = ".ia3_l"
_SHOWN = 12
_PACKED = ("U8", "I8", "I32")  # quantised weights do not show the shape of the layer


def check_adapter_fits(adapter: ModelFolder, base: ModelFolder) -> None:
    """Nothing happens when every tensor of ``adapter`` has a weight of fitting shape in ``base``.

    Raises:
        AdapterDoesNotFit: MODEL-009 with the modules that do not fit, before any weight is loaded.
    """
    problems = adapter_problems(adapter, base)
    if problems:
        more = [] if len(problems) <= _SHOWN else [problem("more", count=len(problems) - _SHOWN)]
        raise AdapterDoesNotFit(
            adapter=str(adapter.path),
            base=str(base.path),
            count=len(problems),
            problems=lines([*problems[:_SHOWN], *more]),
        )


def adapter_problems(adapter: ModelFolder, base: ModelFolder) -> list[str]:
    """Every module of ``adapter`` without a place in ``base`` or with another shape there."""
    weights = {place_of(name): info for name, info in base.tensors.items()}
    swapped = bool((adapter.adapter_config or {}).get("fan_in_fan_out"))
    problems = []
    for name, info in adapter.tensors.items():
        match = _LORA.match(name)
        if match is None and name.endswith(_SCALED):
            problems += _scale_problems(name, info, weights)
            continue
        if match is None:
            problems += _saved_module_problems(name, info, weights)
            continue
        module = match["module"].removeprefix(_PREFIX)
        held = weights.get(place_of(f"{module}.weight"))
        if held is None and _is_head(module) and base.tied:
            held = next((item for place, item in weights.items() if "embed_tokens" in place), None)
        if held is None:
            problems.append(problem("no_such_module", module=module))
        elif held.dtype not in _PACKED and len(held.shape) == 2:
            problems += _shape_problems(module, match["part"], info, _sides(held, swapped))
    return list(dict.fromkeys(problems))


def _sides(held: TensorInfo, swapped: bool) -> tuple[int, int]:
    """(out, in) of a linear weight, (rows, width) of an embedding."""
    first, second = held.shape
    return (second, first) if swapped else (first, second)


def _shape_problems(module: str, part: str, info: TensorInfo, sides: tuple[int, int]) -> list[str]:
    out, into = sides
    # lora_A is (rank, in), lora_B is (out, rank); of an embedding A is (rank, rows) and B is (width, rank).
    wanted: dict[str, tuple[int, Callable[[tuple[int, ...]], int]]] = {
        "A": (into, lambda shape: shape[-1]),
        "B": (out, lambda shape: shape[0]),
        "embedding_A": (out, lambda shape: shape[-1]),
        "embedding_B": (into, lambda shape: shape[0]),
        "magnitude_vector": (out, lambda shape: max(shape)),
    }
    size, take = wanted[part]
    if not info.shape or take(info.shape) != size:
        return [problem("wrong_shape", module=module, shape=list(info.shape), base=list(sides))]
    return []


def _scale_problems(name: str, info: TensorInfo, weights: dict[str, TensorInfo]) -> list[str]:
    """IA3 multiplies what a layer writes (out, 1) or reads (1, in)."""
    module = name.removesuffix(_SCALED).removeprefix(_PREFIX)
    held = weights.get(place_of(f"{module}.weight"))
    if held is None:
        return [problem("no_such_module", module=module)]
    if held.dtype in _PACKED or len(held.shape) != 2 or info.count in held.shape:
        return []
    return [problem("wrong_shape", module=module, shape=list(info.shape), base=list(held.shape))]


def _saved_module_problems(name: str, info: TensorInfo, weights: dict[str, TensorInfo]) -> list[str]:
    """A tensor that takes the whole place of one of the base's (``modules_to_save``, biases)."""
    module = name.removeprefix(_PREFIX).replace(".modules_to_save", "").replace(".base_layer", "")
    held = weights.get(place_of(module))
    # A new head (a classifier's) has no counterpart; a grown vocabulary changes the first side only.
    if held is None or held.dtype in _PACKED or held.shape[1:] == info.shape[1:]:
        return []
    return [problem("wrong_shape", module=module, shape=list(info.shape), base=list(held.shape))]


def _is_head(module: str) -> bool:
    return module.split(".")[-1] in ("lm_head", "output", "embed_out")


def place_of(name: str) -> str:
    """A tensor's name without the wrappers that differ between a checkpoint and the loaded model."""
    parts = [part for part in name.split(".") if part not in ("model", "language_model", "text_model")]
    return ".".join(parts)
