"""``roles`` and ``unanswered``: conversations whose turns come in no order that a model can learn."""

from __future__ import annotations

from typing import Any

from mozhu.engine.data.conversations import role_of
from mozhu.engine.data.field_names import TURN_FIELDS
from mozhu.engine.data.fixers.base import RowFixer
from mozhu.engine.data.rows import RowProblem

_SPOKEN = {
    **dict.fromkeys(("ai", "助手", "助理", "机器人", "機器人", "模型"), "assistant"),
    **dict.fromkeys(("用户", "用戶", "使用者", "人类", "人類", "me"), "user"),
    **dict.fromkeys(("系统", "系統"), "system"),
}
_ORDER = {"DATA-107", "DATA-108"}
_KEYS = (("role", "content"), ("from", "value"))


def roles_in_order(value: dict[str, Any], problem: RowProblem) -> dict[str, Any] | None:
    """``value`` with roles by their usual names, neighbours of one role joined, and no answer before a question.

    Turns are joined by a line break. Turns with tool calls, of tools, or with anything but text are not joined.
    """
    return _changed(value, _in_order) if problem.code in _ORDER else None


def drop_unanswered(value: dict[str, Any], problem: RowProblem) -> dict[str, Any] | None:
    """``value`` without the turns after its last answer; a conversation without any answer stays."""
    return _changed(value, _answered) if problem.code == "DATA-118" else None


def _changed(value: dict[str, Any], change: Any) -> dict[str, Any] | None:
    for name in TURN_FIELDS:
        turns = value.get(name)
        if isinstance(turns, list) and turns and all(isinstance(turn, dict) for turn in turns):
            keys = next(
                (keys for keys in _KEYS if all(isinstance(turn.get(keys[0]), str) for turn in turns)), None
            )
            mended = change(turns, *keys) if keys else turns
            return {**value, name: mended} if mended and mended != turns else None
    return None


def _in_order(turns: list[dict[str, Any]], role: str, content: str) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for turn in turns:
        turn = {**turn, role: _SPOKEN.get(turn[role].strip().lower(), turn[role])}
        said_by = role_of(turn[role])
        before = role_of(kept[-1][role]) if kept else None
        if said_by == "assistant" and before in {None, "system"} and not _has_calls(turn, role):
            continue
        if said_by == before and _is_plain(turn, role, content) and _is_plain(kept[-1], role, content):
            kept[-1] = {**kept[-1], content: f"{kept[-1][content]}\n{turn[content]}"}
        else:
            kept.append(turn)
    return kept


def _answered(turns: list[dict[str, Any]], role: str, content: str) -> list[dict[str, Any]]:
    last = max((n for n, turn in enumerate(turns) if role_of(turn[role]) == "assistant"), default=-1)
    while last >= 0 and _has_calls(turns[last], role):  # calls whose answers nobody made use of
        last = max((n for n in range(last) if role_of(turns[n][role]) == "assistant"), default=-1)
    return turns[: last + 1]


def _has_calls(turn: dict[str, Any], role: str) -> bool:
    return bool(turn.get("tool_calls") or turn.get("function_call")) or turn[role].strip().lower() in {
        "function_call",
        "tool_call",
    }


def _is_plain(turn: dict[str, Any], role: str, content: str) -> bool:
    is_text = isinstance(turn.get(content), str) and bool(turn[content].strip())
    return (
        is_text
        and role_of(turn[role]) in {"user", "assistant", "system"}
        and turn.keys() <= {role, content, "weight"}
        and not _has_calls(turn, role)
    )


ROLES = RowFixer("roles", 1, roles_in_order)
UNANSWERED = RowFixer("unanswered", 1, drop_unanswered)
