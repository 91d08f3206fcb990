"""Rows of JSON arrays and of JSON lines, each with the line on which it begins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mozhu.engine.data.encodings import decode_head, open_text, read_whole
from mozhu.engine.data.rows import RawRow, RowProblem, reject
from mozhu.kernel.errors import BadJson
from mozhu.kernel.files import reading
from mozhu.specs.records.snapshot import RejectedRow

_BLANK = re.compile(r"[ \t\r\n\ufeff]*")
_ARRAY = re.compile(r"\[\s*(?:[{\[\"\]]|$)")
_LINES = {".jsonl", ".ndjson"}
_DECODER = json.JSONDecoder()


class JsonReader:
    """One JSON array of rows; a file that holds a single object is one row."""

    def sniff(self, path: Path, head: bytes) -> bool:
        content = decode_head(head).lstrip()
        if content.startswith("["):
            return _ARRAY.match(content) is not None or path.suffix.lower() == ".json"
        return content.startswith("{") and not _is_lines(path, content)

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        """The elements of the array, one at a time.

        Raises:
            BadJson: FILE-004 with line and column, where the array itself is broken.
        """
        content = read_whole(path)
        place = _skip(content, 0)
        if content[place : place + 1] != "[":
            value, end = _decode(path, content, place)
            _expect_end(path, content, end)
            yield RawRow(path.name, _line(content, 0, place, 1), value)
            return
        yield from _elements(path, content, place + 1)


class JsonLinesReader:
    """One JSON value a line; bad lines are rejected and the rest is read."""

    def sniff(self, path: Path, head: bytes) -> bool:
        content = decode_head(head).lstrip()
        if content.startswith("{"):
            return _is_lines(path, content)
        return path.suffix.lower() in _LINES and not _ARRAY.match(content)

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        with reading(path), open_text(path) as file:
            for number, line in enumerate(file, start=1):
                if line.strip(" \t\r\n\ufeff"):
                    yield _row_of_line(path.name, number, line.strip(" \t\r\n\ufeff"))


def _row_of_line(file: str, number: int, line: str) -> RawRow | RejectedRow:
    try:
        return RawRow(file, number, json.loads(line))
    except json.JSONDecodeError as error:
        problem = RowProblem("DATA-101", "", column=error.colno, reason=error.msg)
    except (ValueError, RecursionError) as error:
        problem = RowProblem("DATA-101", "", column=1, reason=str(error))
    return reject(RawRow(file, number, line), problem)


def _is_lines(path: Path, content: str) -> bool:
    """Whether a head that begins with ``{`` is one object a line rather than one object over many lines."""
    lines = content.split("\n")
    if any(_is_object(line.strip()) for line in lines):
        return True
    if len(lines) == 1:  # a line longer than the head
        return path.suffix.lower() != ".json"
    return path.suffix.lower() in _LINES


def _is_object(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _elements(path: Path, content: str, place: int) -> Iterator[RawRow]:
    line, counted = 1, 0
    place = _skip(content, place)
    if content[place : place + 1] == "]":
        _expect_end(path, content, place + 1)
        return
    while True:
        line, counted = _line(content, counted, place, line), place
        value, place = _decode(path, content, place)
        yield RawRow(path.name, line, value)
        place = _skip(content, place)
        mark = content[place : place + 1]
        if mark == "]":
            _expect_end(path, content, place + 1)
            return
        if mark != ",":
            raise _bad(path, content, place, "',' or ']' expected")
        place = _skip(content, place + 1)


def _decode(path: Path, content: str, place: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(content, place)
    except json.JSONDecodeError as error:
        raise _bad(path, content, error.pos, error.msg) from error
    except (ValueError, RecursionError) as error:
        raise _bad(path, content, place, str(error)) from error


def _expect_end(path: Path, content: str, place: int) -> None:
    place = _skip(content, place)
    if place != len(content):
        raise _bad(path, content, place, "Extra data")


def _bad(path: Path, content: str, place: int, reason: str) -> BadJson:
    line = _line(content, 0, place, 1)
    column = place - (content.rfind("\n", 0, place) + 1) + 1
    return BadJson(path=str(path), line=line, column=column, reason=reason)


def _skip(content: str, place: int) -> int:
    match = _BLANK.match(content, place)
    return match.end() if match else place


def _line(content: str, start: int, end: int, line: int) -> int:
    """The line of ``end``, when ``start`` is on ``line``."""
    return line + content.count("\n", start, end)
