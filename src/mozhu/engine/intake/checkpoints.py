"""The tensors that a checkpoint's pickle describes: names, types, shapes, and where their numbers must lie."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mozhu.engine.intake.allowed import DTYPES, PARAMETERS, STORAGES, TENSORS, UNTYPED
from mozhu.engine.intake.pickle_reader import table_of
from mozhu.engine.intake.values import Called, Named, Stored, Table
from mozhu.kernel.safetensors import BITS_OF

# Where the tools of the field put the weights; in this order.
WRAPPERS = ("state_dict", "model", "module", "model_state_dict", "params", "weights", "net", "generator")
_DEEPEST = 8
_LARGEST_SIDE = 1 << 62
_MOST_SIDES = 64


@dataclass(frozen=True)
class Storage:
    """Numbers outside the pickle; ``size_bytes`` is what the pickle says of it."""

    key: str
    dtype: str
    count: int

    @property
    def size_bytes(self) -> int:
        return self.count * (BITS_OF[self.dtype] // 8 if self.dtype else 1)


@dataclass(frozen=True)
class Described:
    """One tensor; ``path`` leads to it from the top of the pickle, ``name`` is what it is to be called."""

    path: tuple[str | int, ...]
    name: str
    dtype: str
    shape: tuple[int, ...]
    storage: Storage


@dataclass
class Weights:
    """``left_out`` names what lies beside the tensors; ``faults`` the tensors that cannot be what they say."""

    tensors: list[Described] = field(default_factory=list)
    storages: dict[str, Storage] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @property
    def parameter_count(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)


def find_weights(value: Any) -> Weights:
    """The weights in what a checkpoint's pickle describes, without optimizer, counters and settings."""
    weights = Weights()
    _check_every_tensor(weights, value)
    top = table_of(value)
    if top is None:
        return weights
    wrapper = next((name for name in WRAPPERS if _holds_tensors(top.get(name))), None)
    own = [name for name, item in top.items() if _is_tensor(item)]
    if own or wrapper is None:
        _collect(weights, top, (), "")
    else:
        weights.left_out += [str(name) for name in top if name != wrapper]
        _collect(weights, table_of(top[wrapper]) or {}, (wrapper,), "")
    names = Counter(tensor.name for tensor in weights.tensors)
    weights.faults += [name for name, count in names.items() if count > 1]
    return weights


def _holds_tensors(value: Any) -> bool:
    table = table_of(value)
    return table is not None and any(_is_tensor(item) for item in table.values())


def _collect(weights: Weights, table: dict[Any, Any], path: tuple[Any, ...], prefix: str) -> None:
    for key, item in table.items():
        name = f"{prefix}{key}"
        nested = table_of(item)
        if _is_tensor(item):
            _add(weights, item, (*path, key), name)
        elif nested and len(path) < _DEEPEST and isinstance(key, str) and _holds_tensors(item):
            _collect(weights, nested, (*path, key), f"{name}.")
        else:
            weights.left_out.append(name)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Called) and value.function.name in TENSORS | PARAMETERS


def _add(weights: Weights, value: Called, path: tuple[Any, ...], name: str) -> None:
    if value.function.name in PARAMETERS:
        inner = value.arguments[0] if value.arguments else None
        if not isinstance(inner, Called) or inner.function.name not in TENSORS:
            weights.faults.append(name)
            return
        value = inner
    found = _described(value, path, name)
    if found is None:
        weights.faults.append(name)
    else:
        weights.tensors.append(found)


def _check_every_tensor(weights: Weights, value: Any) -> None:
    """Also what is no weight is loaded before it is left out, so all of it has to lie inside its storage."""
    for tensor in _every_tensor(value):
        found = _described(tensor, (), "")
        if found is None:
            weights.faults.append(tensor.function.name)
        elif weights.storages.setdefault(found.storage.key, found.storage) != found.storage:
            weights.faults.append(found.storage.key)


def _every_tensor(value: Any) -> Iterator[Called]:
    seen: set[int] = set()
    left = [value]
    while left:
        item = left.pop()
        if id(item) in seen or not isinstance(item, (Called, Table, list, tuple)):
            continue
        seen.add(id(item))
        if isinstance(item, (list, tuple)):
            left.extend(item)
            continue
        left.extend(part for pair in item.pairs for part in pair)
        if isinstance(item, Called):
            left += [item.arguments, item.state, *item.items]
            if item.function.name in TENSORS:
                yield item


def _described(value: Called, path: tuple[Any, ...], name: str) -> Described | None:
    """The tensor, when every part of it is what torch writes and it lies inside its storage."""
    arguments = value.arguments
    if len(arguments) < 4:
        return None
    storage = _storage(arguments[0])
    offset, shape, stride = (_natural(arguments[1]), _sides(arguments[2]), _sides(arguments[3]))
    if storage is None or offset is None or shape is None or stride is None or len(shape) != len(stride):
        return None
    dtype = storage.dtype
    if value.function.name.endswith("_v3"):
        named = arguments[6] if len(arguments) > 6 else None
        dtype = DTYPES.get(named.name, "") if isinstance(named, Named) else ""
    if not dtype:
        return None
    last = offset + sum((side - 1) * step for side, step in zip(shape, stride, strict=True))
    count = storage.size_bytes // (BITS_OF[dtype] // 8)
    inside = 0 in shape or last < count
    # A tensor of strides 0 would be written many times as large as its numbers.
    spread = math.prod(shape) > 2 * max(count, 1) and math.prod(shape) > 1 << 20
    return Described(path, name, dtype, shape, storage) if inside and not spread else None


def _storage(value: Any) -> Storage | None:
    told = value.id if isinstance(value, Stored) else None
    if not isinstance(told, tuple) or len(told) not in (5, 6) or told[0] != "storage":
        return None
    kind, key, count = told[1], told[2], _natural(told[4])
    if not isinstance(kind, Named) or type(key) is not str or count is None:
        return None
    if len(told) == 6 and told[5] is not None:
        return None
    if kind.name == UNTYPED:
        return Storage(key, "", count)
    return Storage(key, STORAGES[kind.name], count) if kind.name in STORAGES else None


def _natural(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < _LARGEST_SIDE else None


def _sides(value: Any) -> tuple[int, ...] | None:
    if isinstance(value, Called) and value.function.name == "torch.Size" and len(value.arguments) == 1:
        value = value.arguments[0]
    if isinstance(value, list):
        value = tuple(value)
    if not isinstance(value, tuple) or len(value) > _MOST_SIDES:
        return None
    sides = tuple(_natural(side) for side in value)
    return None if None in sides else sides  # type: ignore[return-value]
