"""Bytes on their way: percent, speed and what is left, in one line."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text

_EVERY_S = 0.2
_EVERY_QUIET_S = 10.0


class Transfer:
    """A line that is drawn anew on a terminal; elsewhere a line every ten seconds; nothing when ``quiet``.

    Args:
        words: The key of the line in the text catalogue.
    """

    def __init__(self, *, quiet: bool = False, out: TextIO | None = None, words: str = "up.transfer") -> None:
        self._words = words
        self._out = out or sys.stderr
        self._quiet = quiet
        self._is_terminal = self._out.isatty()
        self._started = self._shown = time.monotonic()
        self._first: int | None = None

    def __call__(self, done: int, total: int, path: str) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = done
        every = _EVERY_S if self._is_terminal else _EVERY_QUIET_S
        if self._quiet or (now - self._shown < every and done < total):
            return
        self._shown = now
        speed = (done - self._first) / max(now - self._started, 0.001)
        left = (total - done) / speed if speed > 0 else 0.0
        line = text(
            self._words,
            percent=int(done * 100 / total) if total else 100,
            done=human_size(done),
            total=human_size(total),
            speed=human_size(speed),
            eta=f"{int(left) // 60}:{int(left) % 60:02d}",
            path=path,
        )
        self._out.write(f"\r\x1b[2K{line}" if self._is_terminal else f"{line}\n")
        self._out.flush()

    def close(self) -> None:
        if self._is_terminal and not self._quiet and self._first is not None:
            self._out.write("\n")
