"""What a pickle describes, as plain descriptions: nothing of what it names is ever imported or called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Named:
    """A global that the pickle asks for: ``torch._utils._rebuild_tensor_v2``."""

    name: str


@dataclass(eq=False)
class Called:
    """What a call would have made; ``state`` is what would have been set on it."""

    function: Named
    arguments: Any
    state: Any = None
    # Items added to it afterwards, as to an OrderedDict.
    pairs: list[tuple[Any, Any]] = field(default_factory=list)
    items: list[Any] = field(default_factory=list)


@dataclass(eq=False)
class Table:
    """A dict; a key that comes twice counts with its last value."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Stored:
    """Something that lies outside the pickle, by its persistent id."""

    id: Any


def pairs_of(value: Any) -> list[tuple[Any, Any]] | None:
    """The items of what is a dict or an OrderedDict; ``None`` of anything else."""
    if isinstance(value, Table):
        return value.pairs
    if isinstance(value, Called) and value.function.name == "collections.OrderedDict":
        return [*_given_pairs(value.arguments), *value.pairs]
    return None


def _given_pairs(arguments: Any) -> list[tuple[Any, Any]]:
    """``OrderedDict([[key, value], …])``, as protocol 0 and 1 write it."""
    if not isinstance(arguments, tuple) or len(arguments) != 1 or not isinstance(arguments[0], list):
        return []
    return [tuple(item) for item in arguments[0] if isinstance(item, (list, tuple)) and len(item) == 2]
