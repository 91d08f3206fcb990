"""What conversations have in common that take the same way through a template, and the texts that differ."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from typing import Any

from mozhu.engine.weights.template_terms import Log

# Keys of a message whose texts differ from row to row; every other value belongs to the form.
_TEXTS = frozenset({"content", "reasoning_content", "thinking", "reasoning"})
_CALLS = "tool_calls"
_END = "\0end"  # between two messages in a form


def form_of(messages: Any, tools: Any) -> tuple[tuple[Any, ...] | None, list[str]]:
    """What two conversations have in common that one plan serves, and the texts in which they differ."""
    form: list[Any] = []
    atoms: list[str] = []
    if type(messages) is not list:
        return None, atoms
    try:
        for message in messages:
            if type(message) is not dict:
                return None, atoms
            for key, value in message.items():
                form.append(key)
                if type(value) is not str:
                    form.append(_shape(value, atoms) if key == _CALLS else marshal.dumps(value, 0))
                elif key in _TEXTS:
                    atoms.append(value)
                else:
                    form.append(value)
            form.append(_END)
        if tools:
            form.append(marshal.dumps(tools, 0))
    except (ValueError, RecursionError):  # a value that is no plain JSON
        return None, atoms
    return tuple(form), atoms


def _shape(value: Any, atoms: list[str]) -> Any:
    """The form of tool calls: names are part of it, the texts of arguments are not."""
    if type(value) is not list or not all(type(call) is dict for call in value):
        return marshal.dumps(value, 0)
    return tuple(_call_shape(call, atoms) for call in value)


def _call_shape(call: dict[str, Any], atoms: list[str]) -> Any:
    shape: list[Any] = []
    for key, value in call.items():
        if key == "function" and type(value) is dict:
            shape += [key, _call_shape(value, atoms)]
        elif key == "arguments":
            shape += [key, _leaves(value, atoms)]
        else:
            shape += [key, marshal.dumps(value, 0)]
    return tuple(shape)


def _leaves(value: Any, atoms: list[str]) -> Any:
    if type(value) is str:
        atoms.append(value)
        return str
    if type(value) is dict:
        return ("dict", *((marshal.dumps(key, 0), _leaves(item, atoms)) for key, item in value.items()))
    if type(value) is list:
        return ("list", *(_leaves(item, atoms) for item in value))
    return marshal.dumps(value, 0)


def with_atoms(messages: Any, log: Log) -> list[dict[str, Any]]:
    """The messages with their texts followed, numbered in the order of :func:`form_of`."""
    numbers = iter(range(10**9))

    def atom(value: str) -> str:
        return log.atom(next(numbers), value)

    return [{key: _traced_value(key, value, atom) for key, value in message.items()} for message in messages]


def _traced_value(key: str, value: Any, atom: Callable[[str], str]) -> Any:
    if key in _TEXTS and type(value) is str:
        return atom(value)
    if key == _CALLS and type(value) is list and all(type(call) is dict for call in value):
        return [_traced_call(call, atom) for call in value]
    return value


def _traced_call(call: dict[str, Any], atom: Callable[[str], str]) -> dict[str, Any]:
    traced: dict[str, Any] = {}
    for key, value in call.items():
        if key == "function" and type(value) is dict:
            traced[key] = _traced_call(value, atom)
        else:
            traced[key] = _traced_leaves(value, atom) if key == "arguments" else value
    return traced


def _traced_leaves(value: Any, atom: Callable[[str], str]) -> Any:
    if type(value) is str:
        return atom(value)
    if type(value) is dict:
        return {key: _traced_leaves(item, atom) for key, item in value.items()}
    return [_traced_leaves(item, atom) for item in value] if type(value) is list else value
