"""Progress of an evaluation over all its parts, as ``step`` events."""

from __future__ import annotations

import time
from collections.abc import Callable

from mozhu.kernel.progress import Emit

_EVERY_S = 0.25


class Progress:
    """Counts rows over all parts and emits at most four ``step`` events a second, and the last one."""

    def __init__(self, emit: Emit, total: int) -> None:
        self._emit, self.total = emit, total
        self.done = 0
        self._began, self._shown = time.monotonic(), 0.0

    def part(self, name: str) -> Callable[[int, int], None]:
        """A callback (done, of) for one part; ``name`` says what is being done."""
        start = self.done

        def report(done: int, of: int) -> None:
            if start + done > self.done:
                self.done = min(start + done, self.total)
                self._show(name)

        return report

    def _show(self, name: str) -> None:
        now = time.monotonic()
        if now - self._shown < _EVERY_S and self.done < self.total:
            return
        self._shown = now
        left = (now - self._began) * (self.total - self.done) / max(self.done, 1)
        self._emit("step", step=self.done, total=self.total, unit="row", part=name, eta_s=left)
