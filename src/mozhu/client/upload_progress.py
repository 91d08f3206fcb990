"""How far an upload is: bytes, speed and the time that is left."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Stage = Literal["hashing", "sending", "checking"]
_WINDOW_S = 10.0
_EVERY_S = 0.1


@dataclass(frozen=True)
class UploadProgress:
    """``done`` of ``total`` bytes of this stage; ``eta_s`` is ``None`` as long as nothing can be said."""

    stage: Stage
    done: int
    total: int
    bytes_per_s: float
    eta_s: float | None
    path: str = ""


OnProgress = Callable[[UploadProgress], None]


class Meter:
    """Adds up what several threads do in one stage, and tells it ten times a second at most.

    The speed is that of the last ten seconds, so that a pause does not weigh on what is said afterwards.
    """

    def __init__(self, stage: Stage, total: int, done: int, tell: OnProgress) -> None:
        self._stage, self._total, self._done, self._tell = stage, total, done, tell
        self._lock = threading.Lock()
        self._told = 0.0
        self._path = ""
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), done)])
        self._say(time.monotonic())

    def add(self, count: int, path: str = "") -> None:
        """``count`` bytes more are done; fewer, where something has to be sent again."""
        with self._lock:
            self._done += count
            self._path = path or self._path
            now = time.monotonic()
            if now - self._told >= _EVERY_S or self._done >= self._total:
                self._say(now)

    def _say(self, now: float) -> None:
        self._told = now
        self._seen.append((now, self._done))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        began, before = self._seen[0]
        speed = max(0.0, (self._done - before) / (now - began)) if now > began else 0.0
        left = (self._total - self._done) / speed if speed > 0 else None
        self._tell(UploadProgress(self._stage, self._done, self._total, speed, left, self._path))
