"""Numbers written as texts: labels that are numbers in other rows, arguments that a tool wants as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mozhu.engine.data.asking import present
from mozhu.engine.data.checks.findings import Hit
from mozhu.engine.data.field_names import LABEL_FIELDS, MARK_FIELDS

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")
_MARK = re.compile(r"true|false|[01]", re.IGNORECASE)
_MOST_WAITING = 1000
_NUMERIC = {"integer", "number"}


class LabelTypes:
    """Labels of one file: where some are numbers (or true and false), the same as texts are found.

    A file whose labels are all texts is right as it is, and so is a table, which knows nothing else.
    """

    def __init__(self) -> None:
        self._numbers = False
        self._waiting: list[tuple[Any, str, Hit]] = []

    def look(self, row: Any, value: Any, shape: str) -> Iterator[tuple[Any, str, Hit]]:
        """(row, field, hit) of every label known by now to be wrong; ``row`` is given back as it came."""
        if shape not in {"classification", "kto"} or not isinstance(value, dict):
            return
        name = present(value, MARK_FIELDS if shape == "kto" else LABEL_FIELDS)
        label = value.get(name) if name else None
        if isinstance(label, (bool, int, float)):
            self._numbers = True
            yield from self._waiting
            self._waiting = []
        elif (
            name
            and isinstance(label, str)
            and (_MARK if shape == "kto" else _NUMBER).fullmatch(label.strip())
        ):
            hit = Hit("DATA-318", "warning", f'"{label}"', {"found": label.strip()})
            if self._numbers:
                yield row, name, hit
            elif len(self._waiting) < _MOST_WAITING:
                self._waiting.append((row, name, hit))


def find_number_arguments(row: dict[str, Any]) -> Iterator[tuple[str, Hit]]:
    """DATA-318 for arguments of calls that are texts where the tool's own schema says number or integer."""
    wanted = {name: fields for name, fields in map(_numeric_fields, row.get("tools") or ()) if fields}
    for at, message in enumerate(row.get("messages") or () if wanted else ()):
        for call in message.get("tool_calls") or ():
            function = call.get("function", {})
            arguments = function.get("arguments")
            for name in wanted.get(function.get("name"), ()) if isinstance(arguments, dict) else ():
                given = arguments.get(name)
                if isinstance(given, str) and _NUMBER.fullmatch(given.strip()):
                    hit = Hit("DATA-318", "warning", f'"{name}": "{given}"', {"found": given.strip()})
                    yield f"messages[{at}].tool_calls", hit


def _numeric_fields(tool: Any) -> tuple[str, list[str]]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return "", []
    parameters = function.get("parameters")
    fields = parameters.get("properties") if isinstance(parameters, dict) else None
    if not isinstance(fields, dict):
        return "", []
    numeric = [
        name for name, told in fields.items() if isinstance(told, dict) and _is_numeric(told.get("type"))
    ]
    return str(function.get("name")), numeric


def _is_numeric(told: Any) -> bool:
    return told in _NUMERIC if isinstance(told, str) else False
