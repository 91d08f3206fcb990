"""The events of a run that goes on after a kill: what its log holds already is not told a second time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.kernel.files import read_jsonl
from mozhu.kernel.progress import Emit

# Kinds of which a log holds one for each step.
_ONCE = ("step", "eval", "sample", "checkpoint")


class TellOnce:
    """Hands events on; a ``step``, ``eval``, ``sample`` or ``checkpoint`` that the log holds for this step becomes
    ``again`` (``of`` names its kind).

    A run that goes on from the checkpoint of step 40 and was killed in step 47 trains 41 to 46 a second time. Its log
    then has each step once, in order, and still shows that it moves.
    """

    def __init__(self, emit: Emit, log: Path) -> None:
        self._emit = emit
        self._told: set[tuple[str, str, str]] = _told(log) if log.is_file() else set()

    def emit(self, kind: str, /, **fields: Any) -> None:
        key = _key(kind, fields)
        if kind not in _ONCE or "step" not in fields:
            self._emit(kind, **fields)
        elif key in self._told:
            self._emit("again", of=kind, **fields)
        else:
            self._told.add(key)
            self._emit(kind, **fields)


def _key(kind: str, fields: dict[str, Any]) -> tuple[str, str, str]:
    """What there is one of: an event of a step, and a sample of a row in a step."""
    return kind, str(fields.get("step")), str(fields.get("row_id"))


def _told(log: Path) -> set[tuple[str, str, str]]:
    return {
        _key(event["kind"], event)
        for event in read_jsonl(log)
        if event.get("kind") in _ONCE and "step" in event
    }
