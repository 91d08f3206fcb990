"""Whether an adapter fits the base it is to be put on, and is meant for it: from headers and records, in a moment.

No weight is loaded and none is read to its end. Every reason against comes at once, each with a name:

prefix           its tensors do not have the names that PEFT looks for in this model
no_such_module   a module that the base does not have
wrong_shape      a shape that the base's module does not have
hidden_size      the base is of another width
layer_count      the base has fewer layers, or further ones that the adapter leaves out
vocabulary       the base has another number of tokens
quantised_base   the base is quantised, and the adapter was trained on another
weights, tokenizer, template    the base is not the one that was recorded at training
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from mozhu.engine.weights.base_record import read_base_record
from mozhu.engine.weights.fingerprint import model_shape, quick_differences
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.headers import TensorInfo
from mozhu.engine.weights.problems import lines, problem
from mozhu.kernel.errors import AdapterDoesNotFit, BaseMismatch

_PREFIX = "base_model.model."
_LORA = re.compile(
    r"^(?P<module>.+)\.lora_(?P<part>embedding_[AB]|[AB]|magnitude_vector)(?:\.weight|\.default.*)?$"
)
_SCALED = ".ia3_l"
_SHOWN = 12
_LAYER = re.compile(r"\.(?:layers|h)\.(\d+)\.")
_ATTENTION_INPUTS = ("q_proj.lora_A.weight", "k_proj.lora_A.weight", "v_proj.lora_A.weight")
_VOCABULARY_ROWS = (
    "embed_tokens.modules_to_save.weight",
    "lm_head.modules_to_save.weight",
    "embed_tokens.weight",
    "lm_head.weight",
    "lm_head.lora_B.weight",
)
_EXPERTS = re.compile(r"\.experts(?:\.base_layer)*$")
_PACKED = ("U8", "I8", "I32")  # quantised weights do not show the shape of the layer


@dataclass(frozen=True)
class Reason:
    """``code`` is the name of the reason, ``line`` its words. ``recorded``: by what was recorded at training."""

    code: str
    line: str
    recorded: bool = False


def check_adapter_fits(adapter: ModelFolder, base: ModelFolder, *, verify: bool = True) -> None:
    """Nothing happens when every tensor of ``adapter`` has a weight of fitting shape in ``base``, and nothing that
    was recorded at training speaks against it.

    Args:
        verify: Ask the record of the base too.

    Raises:
        AdapterDoesNotFit: MODEL-009 with every reason. BaseMismatch: MODEL-008, where it fits by its shapes and the
        record names another base.
    """
    reasons = adapter_reasons(adapter, base) if verify else fit_reasons(adapter, base)
    if not reasons:
        return
    told = list(dict.fromkeys(reason.line for reason in reasons))
    more = [] if len(told) <= _SHOWN else [problem("more", count=len(told) - _SHOWN)]
    codes = list(dict.fromkeys(reason.code for reason in reasons))
    shown = lines([*told[:_SHOWN], *more])
    places = {"adapter": str(adapter.path), "base": str(base.path)}
    if all(reason.recorded for reason in reasons):
        record = read_base_record(adapter.path)
        raise BaseMismatch(**places, wanted=record.ref if record else "?", parts=codes, problems=shown)
    raise AdapterDoesNotFit(**places, count=len(told), problems=shown, reasons=codes)


def adapter_reasons(adapter: ModelFolder, base: ModelFolder) -> list[Reason]:
    """Everything against ``adapter`` on ``base``, with what was recorded at training."""
    return [*fit_reasons(adapter, base), *record_reasons(adapter, base)]


def fit_reasons(adapter: ModelFolder, base: ModelFolder) -> list[Reason]:
    """Everything that the headers and settings of both say against ``adapter`` on ``base``."""
    found = [
        *_prefix_reasons(adapter, base),
        *_size_reasons(adapter, base),
        *_tensor_reasons(adapter, base),
        *_layer_reasons(adapter, base),
    ]
    return list(dict.fromkeys(found))


def record_reasons(adapter: ModelFolder, base: ModelFolder) -> list[Reason]:
    """What ``base.json`` says against ``base``; nothing where the adapter has none. Hashes no weights."""
    record = read_base_record(adapter.path)
    if record is None or not record.fingerprint:
        return []
    wanted = record.fingerprint
    parts = quick_differences(wanted, base)
    found = []
    if "weights" in parts and base.config.get("quantization_config"):
        found.append(Reason("quantised_base", problem("quantised_base"), True))
    found += _shape_reasons(wanted.get("shape", ""), model_shape(base))
    for part in parts:
        line = problem(f"other_{part}", wanted=record.ref)
        found.append(Reason(part, line, True))
    return found


def adapter_problems(adapter: ModelFolder, base: ModelFolder) -> list[str]:
    """The lines of :func:`fit_reasons`."""
    return list(dict.fromkeys(reason.line for reason in fit_reasons(adapter, base)))


def _shape_reasons(wanted: str, found: str) -> Iterator[Reason]:
    names = ("layer_count", "hidden_size", "vocabulary")
    for name, told, held in zip(names, wanted.split("x"), found.split("x"), strict=False):
        if told and told != held and "?" not in (told, held):
            yield Reason(name, problem(f"recorded_{name}", wanted=told, found=held), True)


def _prefix_reasons(adapter: ModelFolder, base: ModelFolder) -> Iterator[Reason]:
    """PEFT looks for ``base_model.model.`` + a module's name in the model and leaves out what is called otherwise."""
    # What has no dot in its name is no module's: the tokens that prefix tuning has learnt.
    bare = [name for name in adapter.tensors if "." in name and not name.startswith(_PREFIX)]
    if bare:
        yield Reason("prefix", problem("prefix", tensor=bare[0], count=len(bare), wanted=_PREFIX))
        return
    if base.is_vision or isinstance(base.config.get("text_config"), dict):
        return  # transformers calls parts of these otherwise than their files do
    if not any(name.startswith("model.") for name in base.tensors):
        return  # saved without its head: the wrapper is put on when it is loaded
    places = {place_of(name): name for name in base.tensors}
    for name in adapter.tensors:
        match = _LORA.match(name)
        wanted = f"{match['module'].removeprefix(_PREFIX)}.weight" if match else ""
        held = places.get(place_of(wanted)) if wanted else None
        if held is not None and held != wanted:
            yield Reason("prefix", problem("prefix", tensor=name, count=1, wanted=_PREFIX + held))
            return


def _size_reasons(adapter: ModelFolder, base: ModelFolder) -> Iterator[Reason]:
    """The width of the base, where every attention input of the adapter says another one; the vocabulary."""
    width = base.text_config.get("hidden_size")
    inputs = {
        info.shape[-1]
        for name, info in adapter.tensors.items()
        if name.endswith(_ATTENTION_INPUTS) and info.shape and "vis" not in name
    }
    if len(inputs) == 1 and isinstance(width, int) and inputs != {width}:
        yield Reason("hidden_size", problem("hidden_size", wanted=inputs.pop(), found=width))
    rows = base.vocab_size
    for name, info in adapter.tensors.items():
        if rows and name.endswith(_VOCABULARY_ROWS) and info.shape and info.shape[0] != rows:
            yield Reason("vocabulary", problem("vocabulary", tensor=name, wanted=info.shape[0], found=rows))


def _layer_reasons(adapter: ModelFolder, base: ModelFolder) -> Iterator[Reason]:
    """Layers of the adapter beyond the base's, and layers of the base with target modules that it leaves out."""
    held = {int(match[1]) for name in adapter.tensors if (match := _LAYER.search(name))}
    count = base.text_config.get("num_hidden_layers")
    if not held or not isinstance(count, int):
        return
    if max(held) >= count:
        yield Reason("layer_count", problem("layer_count", wanted=max(held) + 1, found=count))
        return
    config = adapter.adapter_config or {}
    targets = config.get("target_modules")
    plain = isinstance(targets, list) and not any("." in str(name) for name in targets)
    if not plain or config.get("layers_to_transform") or config.get("exclude_modules") or base.is_vision:
        return
    endings = tuple(f".{name}.weight" for name in targets or ())
    wanted = {int(m[1]) for name in base.tensors if name.endswith(endings) and (m := _LAYER.search(name))}
    if wanted - held:
        yield Reason("layer_count", problem("layer_count", wanted=max(held) + 1, found=max(wanted) + 1))


def _tensor_reasons(adapter: ModelFolder, base: ModelFolder) -> list[Reason]:
    """Every module of ``adapter`` without a place in ``base`` or with another shape there."""
    weights = {place_of(name): info for name, info in base.tensors.items()}
    swapped = bool((adapter.adapter_config or {}).get("fan_in_fan_out"))
    stacked = bool((adapter.adapter_config or {}).get("target_parameters"))
    problems: list[Reason] = []
    for name, info in adapter.tensors.items():
        match = _LORA.match(name)
        if match is None and name.endswith(_SCALED):
            problems += _scale_problems(name, info, weights)
            continue
        if match is None:
            problems += _saved_module_problems(name, info, weights)
            continue
        module = match["module"].removeprefix(_PREFIX)
        if stacked and _EXPERTS.search(module):
            problems += _expert_problems(module, match["part"], info, base)
            continue
        held = weights.get(place_of(f"{module}.weight"))
        if held is None and _is_head(module) and base.tied:
            held = next((item for place, item in weights.items() if "embed_tokens" in place), None)
        if held is None:
            problems.append(_no_module(module))
        elif held.dtype not in _PACKED and len(held.shape) == 2:
            problems += _shape_problems(module, match["part"], info, _sides(held, swapped))
    return problems


def _expert_problems(module: str, part: str, info: TensorInfo, base: ModelFolder) -> list[Reason]:
    """Against what was learned of all experts of a layer together, which the base holds as one tensor or as many:
    whether they are there, and whether they have such a side.
    """
    layer = _LAYER.search(module)
    shapes = {
        held.shape
        for name, held in base.tensors.items()
        if ".experts." in name and (place := _LAYER.search(name)) and layer and place[1] == layer[1]
    }
    if not shapes:
        return [_no_module(module)]
    sides = {side for shape in shapes if len(shape) > 1 for side in shape[-2:]}
    sides |= {2 * side for side in sides}  # the gate and what it gates are one parameter
    found = info.shape[-1 if part == "A" else 0] if info.shape else 0
    return [] if found in sides else [_wrong_shape(module, info, sorted(sides))]


def _sides(held: TensorInfo, swapped: bool) -> tuple[int, int]:
    """(out, in) of a linear weight, (rows, width) of an embedding."""
    first, second = held.shape
    return (second, first) if swapped else (first, second)


def _shape_problems(module: str, part: str, info: TensorInfo, sides: tuple[int, int]) -> list[Reason]:
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
        return [_wrong_shape(module, info, sides)]
    return []


def _scale_problems(name: str, info: TensorInfo, weights: dict[str, TensorInfo]) -> list[Reason]:
    """IA3 multiplies what a layer writes (out, 1) or reads (1, in)."""
    module = name.removesuffix(_SCALED).removeprefix(_PREFIX)
    held = weights.get(place_of(f"{module}.weight"))
    if held is None:
        return [_no_module(module)]
    if held.dtype in _PACKED or len(held.shape) != 2 or info.count in held.shape:
        return []
    return [_wrong_shape(module, info, held.shape)]


def _saved_module_problems(name: str, info: TensorInfo, weights: dict[str, TensorInfo]) -> list[Reason]:
    """A tensor that takes the whole place of one of the base's (``modules_to_save``, biases)."""
    module = name.removeprefix(_PREFIX).replace(".modules_to_save", "").replace(".base_layer", "")
    held = weights.get(place_of(module))
    # A new head (a classifier's) has no counterpart; a grown vocabulary changes the first side only.
    if held is None or held.dtype in _PACKED or held.shape[1:] == info.shape[1:]:
        return []
    return [_wrong_shape(module, info, held.shape)]


def _no_module(module: str) -> Reason:
    return Reason("no_such_module", problem("no_such_module", module=module))


def _wrong_shape(module: str, info: TensorInfo, base: Any) -> Reason:
    return Reason(
        "wrong_shape", problem("wrong_shape", module=module, shape=list(info.shape), base=list(base))
    )


def _is_head(module: str) -> bool:
    return module.split(".")[-1] in ("lm_head", "output", "embed_out")


def place_of(name: str) -> str:
    """A tensor's name without the wrappers that differ between a checkpoint and the loaded model."""
    parts = [part for part in name.split(".") if part not in ("model", "language_model", "text_model")]
    return ".".join(parts)
