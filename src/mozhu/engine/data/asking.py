"""What is asked and what is answered in a row, wherever the row keeps it."""

from __future__ import annotations

from typing import Any

from mozhu.engine.data.conversations import turns_of
from mozhu.engine.data.field_names import ANSWER_FIELDS, PROMPT_FIELDS, SYSTEM_FIELDS, TURN_FIELDS
from mozhu.engine.data.fields import filled, first_field, optional_string, required_string, type_name
from mozhu.engine.data.rows import RowProblem


def present(value: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of ``names`` under which ``value`` has more than null (tables write null for no value)."""
    for name in names:
        if value.get(name) is not None:
            return name
    return None


def is_alpaca(value: dict[str, Any]) -> bool:
    return value.get("instruction") is not None and (
        "output" in value or "input" in value or "history" in value
    )


def asked_turns(value: dict[str, Any]) -> list[dict[str, Any]]:
    """System, earlier rounds and question of ``value``; a conversation is given as it stands, unordered.

    Raises:
        RowProblem: DATA-103 where nothing is asked.
    """
    name = next((name for name in TURN_FIELDS if isinstance(value.get(name), list)), None)
    if name is not None:
        turns = turns_of(value, name)
    elif is_alpaca(value):
        turns = alpaca_question(value)
    else:
        turns = prompt_turns(value)
    return turns if turns and turns[0]["role"] == "system" else system_turns(value) + turns


def alpaca_question(value: dict[str, Any]) -> list[dict[str, Any]]:
    """LLaMA-Factory's rule: the question is instruction and input, joined by a line break."""
    asked = [required_string(value, "instruction"), optional_string(value, "input")]
    question = "\n".join(part for part in asked if part)
    if not question.strip():
        raise RowProblem("DATA-106", "instruction")
    return [*_history(value), message("user", question)]


def prompt_turns(value: dict[str, Any]) -> list[dict[str, Any]]:
    """The question under its usual names: a string, or messages (TRL)."""
    name = present(value, PROMPT_FIELDS) or first_field(value, PROMPT_FIELDS) or "prompt"
    if isinstance(value.get(name), (list, dict)):
        return turns_of(value, name)
    return [*_history(value), message("user", filled(required_string(value, name), name, "DATA-106"))]


def answer_turns(value: dict[str, Any], name: str | None = None) -> list[dict[str, Any]]:
    """The answer under ``name``, else under its usual names: a string, one message or several."""
    found = name or present(value, ANSWER_FIELDS) or first_field(value, ANSWER_FIELDS) or "completion"
    answer = value.get(found)
    if isinstance(answer, dict) and "role" not in answer and "from" not in answer:
        key = present(answer, ("content", "text", "value", *ANSWER_FIELDS)) or "content"
        content = required_string(answer, key, f"{found}.{key}")
        return [message("assistant", filled(content, f"{found}.{key}", "DATA-105"))]
    if isinstance(answer, (list, dict)):
        turns = turns_of(value, found)
        if not turns:
            raise RowProblem("DATA-105", found)
        return turns
    return [message("assistant", filled(required_string(value, found), found, "DATA-105"))]


def system_turns(value: dict[str, Any]) -> list[dict[str, Any]]:
    name = present(value, SYSTEM_FIELDS)
    content = optional_string(value, name) if name else ""
    return [message("system", content)] if content.strip() else []


def message(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def _history(value: dict[str, Any]) -> list[dict[str, Any]]:
    """Alpaca's earlier rounds: ``[[question, answer], …]``."""
    history = value.get("history")
    if history is None or history == "":
        return []
    if not isinstance(history, list):
        raise RowProblem("DATA-104", "history", found=type_name(history), wanted="[[…, …], …]")
    messages = []
    for number, pair in enumerate(history):
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise RowProblem("DATA-104", f"history[{number}]", found=type_name(pair), wanted="[…, …]")
        question = filled(pair[0], f"history[{number}][0]", "DATA-106")
        answer = filled(pair[1], f"history[{number}][1]", "DATA-105")
        messages += [message("user", question), message("assistant", answer)]
    return messages
