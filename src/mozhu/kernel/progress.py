"""The events of a run: an append-only ``events.jsonl`` with gapless numbers, also over a crash and a resume."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import BadJson
from mozhu.kernel.files import finite, make_folder, reading, writing

Emit = Callable[..., None]


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def iso_time(when: datetime) -> str:
    """UTC ISO 8601 with milliseconds and ``Z``."""
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


class EventLog:
    """Appends events to one file; every call is on disk when it returns.

    Opening repairs a torn last line (a process killed in the middle of a write), so numbers stay gapless.

    Args:
        path: The ``events.jsonl``.
        check: Called with each event before it is written; raises when it is not a valid one.
        clock: The time, injected in tests.
    """

    def __init__(
        self,
        path: Path,
        *,
        check: Callable[[dict[str, Any]], object] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.path = path
        self._check = check
        self._clock = clock
        make_folder(path.parent)
        with writing(path):
            self._file = open(path, "ab")  # noqa: SIM115 (closed by close())
        self.repaired = _cut_torn_line(path)
        self._next = _last_seq(path) + 1

    def emit(self, kind: str, /, **fields: Any) -> None:
        """Append one event of ``kind`` (records.md) with its number and time."""
        event: dict[str, Any] = {"schema": 1, "seq": self._next, "t": iso_time(self._clock()), "kind": kind}
        event.update(finite(fields))
        if self._check is not None:
            self._check(event)
        line = json.dumps(event, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"
        with writing(self.path):
            self._file.write(line)
            self._file.flush()
        self._next += 1

    def close(self) -> None:
        with writing(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()


class EventTail:
    """Reads the events that have come since the last call; a line being written is left for the next call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self._lines = 0

    def skip_to_end(self) -> None:
        """Leave out what is there already, so that a resumed run shows only what is new.

        A torn last line is not counted: whoever goes on with the log cuts it.
        """
        if self.path.exists():
            with reading(self.path):
                content = self.path.read_bytes()
            self.offset = content.rfind(b"\n") + 1
            self._lines = content.count(b"\n")

    def read(self) -> Iterator[dict[str, Any]]:
        """The new events.

        Raises:
            BadJson: FILE-004 with the line, one was damaged.
        """
        if not self.path.exists():
            return
        with reading(self.path), open(self.path, "rb") as file:
            file.seek(self.offset)
            content = file.read()
        end = content.rfind(b"\n") + 1
        self.offset += end
        for line in content[:end].split(b"\n")[:-1]:
            self._lines += 1
            if line.strip():
                yield _event(self.path, line, self._lines)


def _cut_torn_line(path: Path) -> bool:
    """Cut a last line without newline; true when something was cut."""
    with writing(path), open(path, "r+b") as file:
        content = file.read()
        end = content.rfind(b"\n") + 1
        if end == len(content):
            return False
        file.truncate(end)
    return True


def _last_seq(path: Path) -> int:
    with reading(path), open(path, "rb") as file:
        lines = file.read().split(b"\n")[:-1]
    return int(_event(path, lines[-1], len(lines)).get("seq", len(lines))) if lines else 0


def _event(path: Path, line: bytes, number: int) -> dict[str, Any]:
    """The event of a line.

    Raises:
        BadJson: FILE-004.
    """
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadJson(path=str(path), line=number, column=error.colno, reason=error.msg) from error
    except UnicodeDecodeError as error:
        raise BadJson(path=str(path), line=number, column=error.start + 1, reason=error.reason) from error
    if not isinstance(found, dict):
        raise BadJson(path=str(path), line=number, column=1, reason="no object")
    return found
