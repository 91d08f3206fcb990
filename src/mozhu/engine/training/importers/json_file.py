"""Settings out of a JSON object, with the line of each."""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from mozhu.engine.training.importers.given import Given, Settings
from mozhu.kernel.errors import UnreadableForeignConfig
from mozhu.kernel.texts import text

_BLANK = re.compile(r"\s*")
_DECODER = json.JSONDecoder()


def read_json_settings(content: str, source: str) -> Settings:
    """The settings of one JSON object.

    Raises:
        UnreadableForeignConfig: TRAIN-104, with line and column.
    """
    try:
        return _read(content, source)
    except json.JSONDecodeError as error:
        raise UnreadableForeignConfig(
            file=source, line=error.lineno, column=error.colno, reason=error.msg
        ) from error
    except RecursionError as error:
        raise UnreadableForeignConfig(
            file=source, line=1, column=1, reason=text("importing.reason.deep")
        ) from error


def _read(content: str, source: str) -> Settings:
    settings = Settings(source)
    at = _expect(content, 0, "{")
    if content[at : at + 1] == "}":
        return settings
    while True:
        start = at
        at = _expect(content, at, '"', skip=False)
        key, at = scanstring(content, at)
        at = _expect(content, at, ":")
        value, at = _DECODER.raw_decode(content, at)
        settings.put(key, Given(value, content.count("\n", 0, start) + 1))
        at = _after(content, at)
        if content[at : at + 1] == "}":
            break
        at = _expect(content, at, ",")
    if _after(content, at + 1) != len(content):
        raise json.JSONDecodeError("Extra data", content, at + 1)
    return settings


def _after(content: str, at: int) -> int:
    found: Any = _BLANK.match(content, at)
    return int(found.end())


def _expect(content: str, at: int, sign: str, *, skip: bool = True) -> int:
    """Where it goes on after ``sign``, and after the blanks behind it."""
    at = _after(content, at)
    if content[at : at + 1] != sign:
        raise json.JSONDecodeError(f"Expecting '{sign}'", content, at)
    return _after(content, at + 1) if skip else at + 1
