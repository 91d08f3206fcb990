"""Takes the fields of a raw row, or says exactly what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mozhu.engine.data.rows import RowProblem

_TYPES = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number"}


def type_name(value: Any) -> str:
    """The JSON name of the type of ``value``."""
    return "null" if value is None else _TYPES.get(type(value), type(value).__name__)


def first_field(value: dict[str, Any], names: Iterable[str]) -> str | None:
    """The first of ``names`` that ``value`` has."""
    return next((name for name in names if name in value), None)


def required_string(value: dict[str, Any], name: str, place: str | None = None) -> str:
    """The string under ``name``; ``place`` is how the field is called in a problem.

    Raises:
        RowProblem: DATA-103 without the field, DATA-104 when it is no string.
    """
    if name not in value:
        raise RowProblem("DATA-103", place or name, found=", ".join(map(str, value)) or "-")
    return _string(value[name], place or name)


def optional_string(value: dict[str, Any], name: str) -> str:
    """Like :func:`required_string`; an absent field and null are the empty string."""
    return "" if value.get(name) is None else _string(value[name], name)


def filled(content: str, place: str, code: str) -> str:
    """``content``, when it holds more than blanks; else a problem with ``code``."""
    if not content.strip():
        raise RowProblem(code, place)
    return content


def _string(content: Any, place: str) -> str:
    if not isinstance(content, str):
        raise RowProblem("DATA-104", place, found=type_name(content), wanted="string")
    return content
