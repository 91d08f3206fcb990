"""Foreign values as typed ones: a file says ``1e-4`` as text, a command says everything as text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from mozhu.engine.training.importers.given import Computed
from mozhu.kernel.texts import text

Read = Callable[[Any], Any]
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_NONE = {"none", "null", "~", ""}


class WrongValue(ValueError):
    """A value that its key cannot have; the words say what it can."""


def whole(value: Any) -> int:
    number_ = number(value)
    if not number_.is_integer():
        raise WrongValue(text("spec.expected.integer"))
    return int(number_)


def number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise WrongValue(text("spec.expected.number"))
    try:
        made = float(value)
    except ValueError as error:
        raise WrongValue(text("spec.expected.number")) from error
    if not math.isfinite(made):
        raise WrongValue(text("spec.expected.number"))
    return made


def switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word in _YES:
        return True
    if word in _NO or word in _NONE:
        return False
    raise WrongValue(text("spec.expected.switch"))


def word(value: Any) -> str:
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, (dict, list, tuple)):
        raise WrongValue(text("spec.expected.text"))
    return str(value).strip()


def lower(value: Any) -> str:
    return word(value).lower()


def words(value: Any) -> tuple[str, ...]:
    """A list, a text with commas, or a JSON list in a text."""
    if isinstance(value, dict):
        raise WrongValue(text("spec.expected.words"))
    if isinstance(value, str) and value.strip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            value = value.strip().strip("[]")
    if isinstance(value, (list, tuple)):
        return tuple(str(item).strip().strip("'\"") for item in value if str(item).strip())
    return tuple(part.strip().strip("'\"") for part in str(value).split(",") if part.strip())


def items(value: Any) -> tuple[str, ...]:
    """A list as it is; a text is one of it, commas and all."""
    if isinstance(value, (list, tuple)):
        return tuple(str(item) for item in value)
    return (word(value),)


def table(value: Any) -> dict[str, Any]:
    """An object, also written as JSON."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise WrongValue(text("spec.expected.table"))
    return found


def plain(value: Any) -> Any:
    return value


def is_none(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip().lower() in _NONE)


def equal(one: Any, two: Any) -> bool:
    """Whether two values mean the same, however they are written."""
    if is_none(one) or (isinstance(one, (list, tuple, dict)) and not one):
        return is_none(two) or two in ([], (), {}, False)
    if isinstance(two, bool):
        return str(one).strip().lower() in (_YES if two else _NO)
    if isinstance(two, (int, float)):
        try:
            return not isinstance(one, bool) and float(one) == float(two)
        except (TypeError, ValueError):
            return False
    if isinstance(two, (list, tuple)):
        listed = one if isinstance(one, (list, tuple)) else [one]
        return [str(item) for item in listed] == [str(item) for item in two]
    return str(one).strip() == str(two)


def is_computed(value: Any) -> bool:
    return isinstance(value, Computed) or (
        isinstance(value, (list, tuple)) and any(isinstance(item, Computed) for item in value)
    )
