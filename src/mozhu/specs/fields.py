"""A spec's fields as plain facts: what flags, forms, documentation and error texts are made of."""

from __future__ import annotations

import types
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from mozhu.kernel.texts import has_text, text
from mozhu.specs.base import ARE_PATHS, Spec


@dataclass(frozen=True)
class Field:
    """One field. ``kind`` is ``text``, ``integer``, ``number``, ``switch``, ``choice``, ``words``, ``paths`` or
    ``table``.
    """

    name: str
    kind: str
    choices: tuple[str, ...]
    default: Any
    required: bool
    bounds: str

    def expected(self) -> str:
        """What a value of this field looks like, in the language in force."""
        if self.kind == "choice":
            return text("spec.expected.choice", choices=", ".join(f"`{choice}`" for choice in self.choices))
        return text(f"spec.expected.{self.kind}") + (f" ({self.bounds})" if self.bounds else "")

    def help(self, verb: str) -> str:
        key = f"verb_{verb.replace('.', '_')}.field.{self.name}"
        return text(key) if has_text(key) else text(f"spec.field.{self.name}")


@cache
def fields_of(spec: type[Spec]) -> tuple[Field, ...]:
    """The fields of ``spec`` in the order of its class."""
    return tuple(_field(name, info) for name, info in spec.model_fields.items())


def _field(name: str, info: FieldInfo) -> Field:
    kind, choices = _kind(info.annotation)
    kind = ARE_PATHS if ARE_PATHS in info.metadata else kind
    required = info.is_required()
    return Field(
        name=name,
        kind=kind,
        choices=choices,
        default=None if required else info.get_default(call_default_factory=True),
        required=required,
        bounds=_bounds([*info.metadata, *_nested_metadata(info.annotation)]),
    )


def _kind(annotation: Any) -> tuple[str, tuple[str, ...]]:
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [part for part in get_args(annotation) if part is not type(None)]
        return _kind(inner[0])
    if hasattr(annotation, "__metadata__"):  # Annotated inside Optional
        return _kind(annotation.__origin__)
    if get_origin(annotation) is Literal:
        return "choice", tuple(map(str, get_args(annotation)))
    if get_origin(annotation) is tuple:
        return "words", ()
    if get_origin(annotation) is dict:
        return "table", ()
    plain = {bool: "switch", int: "integer", float: "number"}
    return plain.get(annotation, "text"), ()


def _bounds(metadata: list[Any]) -> str:
    signs: list[tuple[type, str, str]] = [(Gt, "gt", ">"), (Ge, "ge", "≥"), (Lt, "lt", "<"), (Le, "le", "≤")]
    found = [
        f"{sign} {getattr(item, attribute)}"
        for item in metadata
        for kind, attribute, sign in signs
        if isinstance(item, kind)
    ]
    return ", ".join(found)


def _nested_metadata(annotation: Any) -> list[Any]:
    """The bounds inside ``Optional[Annotated[int, Gt(0)]]``, also when they stand in a pydantic Field."""
    found: list[Any] = []
    for part in getattr(annotation, "__metadata__", ()):
        found.extend(getattr(part, "metadata", [part]))
    for part in get_args(annotation):
        if not isinstance(part, str):
            found.extend(_nested_metadata(part))
    return found
