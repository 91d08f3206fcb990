"""Progress of work that goes tensor by tensor."""

from __future__ import annotations

import time

from mozhu.kernel.progress import Emit

SHOWN_EVERY_S = 0.25


class Steps:
    """Emits one ``step`` event a tensor, at most four a second, and always the last."""

    def __init__(self, emit: Emit, total: int, total_bytes: int) -> None:
        self._emit, self._total, self._total_bytes = emit, total, total_bytes
        self._began = time.monotonic()
        self._shown = 0.0
        self._bytes = 0
        self.step = 0

    def done(self, name: str, size_bytes: int) -> None:
        self.step += 1
        self._bytes += size_bytes
        now = time.monotonic()
        if now - self._shown < SHOWN_EVERY_S and self.step < self._total:
            return
        self._shown = now
        share = self._bytes / self._total_bytes if self._total_bytes else 1.0
        took = now - self._began
        told = {"eta_s": took * (1 - share) / share if share else None}
        if took > 0:
            told["bytes_per_s"] = round(self._bytes / took, 1)
        self._emit("step", step=self.step, total=self._total, unit="tensor", tensor=name, **told)
