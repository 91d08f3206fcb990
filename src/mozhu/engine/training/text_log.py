"""``training.log``: a run's events as plain lines, in the run folder and in the log that seed 002 prints."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import make_folder
from mozhu.kernel.paths import workspace_or_here
from mozhu.kernel.progress import Emit

_SHOWN = (
    "of",
    "step",
    "total",
    "epoch",
    "loss",
    "loss_smooth",
    "lr",
    "grad_norm",
    "tokens_per_s",
    "eta_s",
    "path",
    "code",
)


class TextLog:
    """Hands events on and writes a line for each: ``2026-11-21 08:00:07 my_model step step=40 loss=2.104``."""

    def __init__(self, folder: Path, emit: Emit) -> None:
        self._emit = emit
        self._name = folder.name
        self._paths = [folder / "training.log", workspace_or_here().training_log]

    def emit(self, kind: str, /, **fields: Any) -> None:
        self._emit(kind, **fields)
        shown = " ".join(f"{name}={_short(fields[name])}" for name in _SHOWN if name in fields)
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {self._name} {kind} {shown}".rstrip() + "\n"
        for path in self._paths:
            _append(path, line)


def _append(path: Path, line: str) -> None:
    """The log is a convenience: a workspace that cannot be written must not stop a run that can."""
    try:
        make_folder(path.parent)
        with open(path, "a", encoding="utf-8") as file:
            file.write(line)
    except (OSError, MozhuError):
        pass


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
