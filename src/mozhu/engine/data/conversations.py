"""Turns of a conversation in OpenAI's or ShareGPT's form, in one form and in checked order."""

from __future__ import annotations

import json
from typing import Any

from mozhu.engine.data.fields import filled, required_string, type_name
from mozhu.engine.data.rows import RowProblem

_ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "bing", "bard", "bot", "model", "function_call", "tool_call"),
        "assistant",
    ),
    **dict.fromkeys(("tool", "observation", "function", "function_response", "tool_response"), "tool"),
}
# Turns of these roles hold calls as JSON text (LLaMA-Factory, ms-swift).
_CALLERS = {"function_call", "tool_call"}
_KEPT = ("tool_calls", "tool_call_id", "name", "reasoning_content")
# Which roles may follow a role; the conversation begins with the roles after None.
_NEXT = {
    None: {"system", "user"},
    "system": {"user"},
    "user": {"assistant"},
    "assistant": {"user", "tool"},
    "tool": {"assistant", "tool"},
}


def messages_turns(value: dict[str, Any], name: str, *, answered: bool = True) -> list[dict[str, Any]]:
    """The messages under ``name`` (``role``, ``content``), checked; see :func:`in_order` for ``answered``.

    Raises:
        RowProblem: naming the turn, such as ``messages[2].content``.
    """
    turns = [_message(turn, place) for place, turn in _objects(value, name)]
    return in_order(turns, name, answered=answered)


def sharegpt_turns(value: dict[str, Any], name: str, *, answered: bool = True) -> list[dict[str, Any]]:
    """The turns under ``name`` (``from``, ``value``) as checked messages; calls become tool calls."""
    turns = [_sharegpt_turn(turn, place) for place, turn in _objects(value, name)]
    return in_order(turns, name, answered=answered)


def is_sharegpt(turns: list[Any]) -> bool:
    """Whether the first turn is written as ``from`` and ``value``."""
    first = next((turn for turn in turns if isinstance(turn, dict)), {})
    return "role" not in first and ("from" in first or "value" in first)


def turns_of(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The turns under ``name`` in either form, one object or many, each checked but not their order."""
    turns = value.get(name)
    if isinstance(turns, dict):
        value = {**value, name: [turns]}
    one = _sharegpt_turn if is_sharegpt(value[name]) else _message
    if isinstance(turns, dict):
        return [one(turns, name)]
    return [one(turn, place) for place, turn in _objects(value, name)]


def _message(turn: dict[str, Any], place: str) -> dict[str, Any]:
    said_by = required_string(turn, "role", f"{place}.role")
    role = _role(said_by, f"{place}.role")
    if said_by in _CALLERS:
        calls = _calls(required_string(turn, "content", f"{place}.content"), f"{place}.content")
        return {"role": role, "content": "", "tool_calls": calls}
    if turn.get("function_call") and not turn.get("tool_calls"):  # OpenAI's first form
        turn = {**turn, "tool_calls": [{"function": turn["function_call"]}]}
    message: dict[str, Any] = {"role": role, "content": _content(turn, role, place)}
    message.update({key: turn[key] for key in _KEPT if turn.get(key)})
    if "tool_calls" in message:
        message["tool_calls"] = _checked_calls(message["tool_calls"], f"{place}.tool_calls")
    return message


def _sharegpt_turn(turn: dict[str, Any], place: str) -> dict[str, Any]:
    said_by = required_string(turn, "from", f"{place}.from")
    role = _role(said_by, f"{place}.from")
    content = required_string(turn, "value", f"{place}.value")
    if said_by in _CALLERS:
        return {"role": role, "content": "", "tool_calls": _calls(content, f"{place}.value")}
    code = "DATA-105" if role == "assistant" else "DATA-106"
    return {"role": role, "content": _checked(content, role, f"{place}.value", code)}


def role_of(said: str) -> str | None:
    """The role that a word of the world names: system, user, assistant or tool."""
    return _ROLES.get(said.strip().lower())


def tools_of(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The row's tools in OpenAI's form; they may come as JSON text, and as bare functions.

    Raises:
        RowProblem: DATA-117.
    """
    tools = value.get("tools") or value.get("functions")
    if isinstance(tools, str) and tools.strip():
        tools = _parsed(tools, "tools")
    if not tools:
        return []
    if not (isinstance(tools, list) and all(isinstance(tool, dict) for tool in tools)):
        raise RowProblem("DATA-117", "tools", reason=type_name(tools))
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in tools]


def _objects(value: dict[str, Any], name: str) -> list[tuple[str, dict[str, Any]]]:
    turns = value.get(name)
    if name not in value:
        raise RowProblem("DATA-103", name, found=", ".join(map(str, value)) or "-")
    if not isinstance(turns, list):
        raise RowProblem("DATA-104", name, found=type_name(turns), wanted="array")
    for number, turn in enumerate(turns):
        if not isinstance(turn, dict):
            raise RowProblem("DATA-104", f"{name}[{number}]", found=type_name(turn), wanted="object")
    return [(f"{name}[{number}]", turn) for number, turn in enumerate(turns)]


def _role(said: str, place: str) -> str:
    role = role_of(said)
    if role is None:
        raise RowProblem("DATA-107", place, role=said)
    return role


def _content(turn: dict[str, Any], role: str, place: str) -> str:
    content = turn.get("content")
    if turn.get("tool_calls") and content is None:
        return ""
    if isinstance(content, list):
        content = _joined(content, f"{place}.content")
    elif "content" in turn or not turn.get("tool_calls"):
        content = required_string(turn, "content", f"{place}.content")
    if turn.get("tool_calls"):
        return str(content)
    return _checked(str(content), role, f"{place}.content", "DATA-105" if role == "assistant" else "DATA-106")


def _checked(content: str, role: str, place: str, code: str) -> str:
    """What a tool answers and what the system says may be empty; what a person and the model say may not."""
    return content if role in {"tool", "system"} else filled(content, place, code)


def _joined(parts: list[Any], place: str) -> str:
    """OpenAI's list of content parts as one string, when all of them are text."""
    texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "text"]
    if len(texts) != len(parts) or not all(isinstance(part, str) for part in texts):
        raise RowProblem("DATA-104", place, found="array", wanted="string")
    return "".join(str(part) for part in texts)


def _checked_calls(calls: Any, place: str) -> list[dict[str, Any]]:
    """OpenAI's tool calls with their arguments as an object, which is what chat templates expect."""
    functions = (
        [call.get("function") if isinstance(call, dict) else None for call in calls]
        if isinstance(calls, list)
        else [None]
    )
    checked = []
    for call, function in zip(calls, functions):
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise RowProblem("DATA-117", place, reason='"function": {"name" …}')
        checked.append({**call, "type": "function", "function": {**function, **_function(function, place)}})
    return checked


def _calls(content: str, place: str) -> list[dict[str, Any]]:
    parsed = _parsed(content, place)
    calls = parsed if isinstance(parsed, list) else [parsed]
    if not calls or not all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
        raise RowProblem("DATA-117", place, reason='"name" …')
    return [{"type": "function", "function": _function(call, place)} for call in calls]


def _function(call: dict[str, Any], place: str) -> dict[str, Any]:
    arguments = call.get("arguments", {})
    if isinstance(arguments, str):
        arguments = _parsed(arguments, place) if arguments.strip() else {}
    return {"name": call["name"], "arguments": arguments}


def _parsed(content: str, place: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise RowProblem("DATA-117", place, reason=str(error)) from error


def in_order(turns: list[dict[str, Any]], name: str, *, answered: bool = True) -> list[dict[str, Any]]:
    """``turns``, when they alternate, begin with the user (after the system) and end with the assistant.

    Not ``answered``: they end with what is to be answered.
    """
    if answered and not any(turn["role"] == "assistant" for turn in turns):
        raise RowProblem("DATA-109", name)
    last: str | None = None
    for number, turn in enumerate(turns):
        if turn["role"] not in _NEXT[last]:
            raise RowProblem("DATA-108", f"{name}[{number}]", role=turn["role"], after=last or "-")
        last = turn["role"]
    if answered and last != "assistant":
        raise RowProblem("DATA-118", f"{name}[{len(turns) - 1}]", role=last)
    if not answered and last not in {"user", "tool"}:
        raise RowProblem("DATA-103", "question", found=last or "-")
    return turns
