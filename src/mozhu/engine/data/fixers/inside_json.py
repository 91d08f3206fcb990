"""Changes texts inside JSON: what tools are called with and what they say. Numbers, names and layout stay."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def change_strings(content: str, change: Callable[[str], str]) -> str:
    """The JSON text ``content`` with ``change`` made to each string in it; the rest keeps its bytes."""

    def changed(match: re.Match[str]) -> str:
        before = json.loads(match.group(), strict=False)
        after = change(before)
        return match.group() if after == before else json.dumps(after, ensure_ascii=False)

    return _STRING.sub(changed, content)


def change_calls(message: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """``message`` with ``change`` made to the texts in the arguments of its tool calls."""
    calls = []
    for call in message["tool_calls"]:
        function = call["function"]
        arguments = _changed(function.get("arguments"), change)
        calls.append({**call, "function": {**function, "arguments": arguments}})
    return {**message, "tool_calls": calls}


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _changed(item, change) for name, item in value.items()}
    return [_changed(item, change) for item in value] if isinstance(value, list) else value
