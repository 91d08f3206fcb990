"""Rows of JSON arrays and of JSON lines, each with the line on which it begins."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from mozhu.engine.data.encodings import decode_head, open_text
from mozhu.engine.data.packed import suffix_of
from mozhu.engine.data.rows import RawRow, RowProblem, reject
from mozhu.kernel.errors import BadJson
from mozhu.kernel.files import reading
from mozhu.specs.records.snapshot import RejectedRow

_BLANK = re.compile(r"[ \t\r\n\ufeff]*")
_ARRAY = re.compile(r"\[\s*(?:[{\[\"\]]|$)")
_LINES = {".jsonl", ".ndjson"}
_DECODER = json.JSONDecoder()
_CHUNK_CHARS = 1 << 18
# A fault this near to the end of what was read may be a word that is cut, such as -Infinity or \\u00e9.
_LONGEST_WORD = 16


class JsonReader:
    """One JSON array of rows; a file that holds a single object is one row."""

    def sniff(self, path: Path, head: bytes) -> bool:
        content = decode_head(head).lstrip()
        if content.startswith("["):
            return _ARRAY.match(content) is not None or suffix_of(path) == ".json"
        return content.startswith("{") and not _is_lines(path, content)

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        """The elements of the array, one at a time.

        Raises:
            BadJson: FILE-004 with line and column, where the array itself is broken.
        """
        with reading(path), open_text(path) as file:
            window = _Window(path, file)
            if window.mark() != "[":
                line, value = window.value()
                window.expect_end()
                yield RawRow(path.name, line, value)
                return
            window.step()
            yield from _elements(path.name, window)


class JsonLinesReader:
    """One JSON value a line; bad lines are rejected and the rest is read."""

    def sniff(self, path: Path, head: bytes) -> bool:
        content = decode_head(head).lstrip()
        if content.startswith("{"):
            return _is_lines(path, content)
        return suffix_of(path) in _LINES and not _ARRAY.match(content)

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
        return suffix_of(path) != ".json"
    return suffix_of(path) in _LINES


def _is_object(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _elements(file: str, window: _Window) -> Iterator[RawRow]:
    """The values of an array whose bracket was read."""
    if window.mark() == "]":
        window.step()
        window.expect_end()
        return
    while True:
        line, value = window.value()
        yield RawRow(file, line, value)
        mark = window.mark()
        if mark not in {"]", ","}:
            raise window.bad(window.place, "',' or ']' expected")
        window.step()
        if mark == "]":
            window.expect_end()
            return


class _Window:
    """The piece of a file that is being parsed: never more than a few values of it are in memory.

    ``place`` is where in ``text`` the next sign is looked for.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self._path, self._file = path, file
        self._text = ""
        self._ended = False
        self._line, self._column = 1, 1  # of the first character of the text
        self._at_line, self._counted = 1, 0  # the line of a place, so that nothing is counted twice
        self.place = 0

    def mark(self) -> str:
        """The next character that is not blank, left where it is; nothing at the end of the file."""
        while True:
            match = _BLANK.match(self._text, self.place)
            self.place = match.end() if match else self.place
            if self.place < len(self._text):
                return self._text[self.place]
            if self._ended:
                return ""
            self._more()

    def step(self) -> None:
        self.place += 1

    def value(self) -> tuple[int, Any]:
        """The next value with the line on which it begins.

        Raises:
            BadJson: FILE-004.
        """
        self.mark()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self.place)
            except json.JSONDecodeError as error:
                if self._is_final(error):
                    raise self.bad(error.pos, error.msg) from error
            except (ValueError, RecursionError) as error:
                raise self.bad(self.place, str(error)) from error
            else:
                if end < len(self._text) or self._ended:
                    self._at_line += self._text.count("\n", self._counted, self.place)
                    self._counted, self.place = self.place, end
                    return self._at_line, value
            self._more()

    def expect_end(self) -> None:
        if self.mark():
            raise self.bad(self.place, "Extra data")

    def bad(self, place: int, reason: str) -> BadJson:
        before = self._text.rfind("\n", 0, place)
        line = self._line + self._text.count("\n", 0, place)
        column = place - before if before >= 0 else self._column + place
        return BadJson(path=str(self._path), line=line, column=column, reason=reason)

    def _is_final(self, error: json.JSONDecodeError) -> bool:
        """Whether more text would not help: the fault lies well before the end of what was read."""
        if self._ended:
            return True
        return error.pos < len(self._text) - _LONGEST_WORD and not error.msg.startswith("Unterminated string")

    def _more(self) -> None:
        """Read on, as much again as there is, so that a long value is not parsed many times over."""
        last = self._text.rfind("\n", 0, self.place)
        self._at_line += self._text.count("\n", self._counted, self.place)
        self._line, self._counted = self._at_line, 0
        self._column = self.place - last if last >= 0 else self._column + self.place
        self._text = self._text[self.place :]
        self.place = 0
        read = self._file.read(max(_CHUNK_CHARS, len(self._text)))
        self._ended = not read
        self._text += read
