"""Seed 004's two converters, under their names and with its bytes: question-and-answer rows to plain text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mozhu.engine.data.fields import type_name
from mozhu.engine.data.readers import read_rows
from mozhu.engine.data.rows import RawRow, RowProblem, reasons, reject
from mozhu.kernel.errors import UnconvertibleRows
from mozhu.kernel.files import write_bytes
from mozhu.specs.records.snapshot import RejectedRow

_SPEAKERS = {"system": "系统", "user": "用户", "assistant": "助手"}


def convert_to_text_format(input_file: str | Path, output_file: str | Path) -> None:
    """``output_file`` holds ``[{"text": "指令：…\\n输入：…\\n输出：…"}]``, one for each alpaca row.

    The line of the input is left out where the input is empty.

    Raises:
        MissingFile: FILE-001. BadJson: FILE-004. UnconvertibleRows: DATA-007 with every bad row, and
            nothing is written.
    """
    _convert(input_file, output_file, _alpaca_text, "instruction, input, output")


def convert_conversations(input_file: str | Path, output_file: str | Path) -> None:
    """``output_file`` holds ``[{"text": "系统：…\\n\\n用户：…\\n\\n助手：…"}]``, one for each conversation.

    Raises:
        MissingFile: FILE-001. BadJson: FILE-004. UnconvertibleRows: DATA-007 with every bad row, and
            nothing is written.
    """
    _convert(input_file, output_file, _conversation_text, "messages: role, content")


def _convert(
    input_file: str | Path, output_file: str | Path, to_text: Callable[[dict[str, Any]], str], wanted: str
) -> None:
    texts, bad = [], []
    for row in read_rows(Path(input_file)):
        if isinstance(row, RejectedRow):
            bad.append(row)
            continue
        try:
            texts.append({"text": _of_object(row, to_text)})
        except RowProblem as problem:
            bad.append(reject(row, problem))
    if bad:
        raise UnconvertibleRows(
            path=str(input_file), count=len(bad), reasons=reasons(bad, most=20), wanted=wanted
        )
    write_bytes(output_file, json.dumps(texts, ensure_ascii=False, indent=2).encode("utf-8"))


def _of_object(row: RawRow, to_text: Callable[[dict[str, Any]], str]) -> str:
    if not isinstance(row.value, dict):
        raise RowProblem("DATA-102", "", found=type_name(row.value))
    return to_text(row.value)


def _alpaca_text(item: dict[str, Any]) -> str:
    text = f"指令：{_shown(item, 'instruction')}\n"
    if item.get("input"):
        text += f"输入：{_shown(item, 'input')}\n"
    return text + f"输出：{_shown(item, 'output')}"


def _conversation_text(item: dict[str, Any]) -> str:
    messages = item.get("messages")
    if not isinstance(messages, list):
        if "messages" not in item:
            raise RowProblem("DATA-103", "messages", found=", ".join(map(str, item)) or "-")
        raise RowProblem("DATA-104", "messages", found=type_name(messages), wanted="array")
    conversation = ""
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if not isinstance(message, dict):
            raise RowProblem("DATA-104", place, found=type_name(message), wanted="object")
        role, content = (
            _shown(message, "role", f"{place}.role"),
            _shown(message, "content", f"{place}.content"),
        )
        if role in _SPEAKERS:  # other roles are left out, as the seed does
            conversation += f"{_SPEAKERS[role]}：{content}\n\n"
    return conversation.strip()


def _shown(item: dict[str, Any], name: str, place: str | None = None) -> Any:
    """The value under ``name``, when it is a text or a number: the seed writes both."""
    if name not in item:
        raise RowProblem("DATA-103", place or name, found=", ".join(map(str, item)) or "-")
    if not isinstance(item[name], (str, int, float)) or isinstance(item[name], bool):
        raise RowProblem("DATA-104", place or name, found=type_name(item[name]), wanted="string")
    return item[name]
