"""What the service does by itself, again and again, beside answering: one thread a process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from mozhu.kernel.errors import MozhuError
from mozhu.server.logs import log

_EVERY_S = 1.0


class Rounds:
    """Calls each of ``works`` every ``every_s`` seconds until it is stopped; one that fails is called again."""

    def __init__(self, works: Sequence[tuple[str, Callable[[], int]]], *, every_s: float = _EVERY_S) -> None:
        self._works = works
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rounds", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within_s: float | None = None) -> None:
        """No work begins any more, and the one under way has ended; after ``within_s`` it is not waited for."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            for name, work in self._works:
                if not self._stop.is_set():
                    self._one(name, work)

    def _one(self, name: str, work: Callable[[], int]) -> None:
        try:
            count = work()
        except MozhuError as error:
            log("round failed", 30, work=name, code=error.code, reason=error.what)
        except Exception as error:
            log("round failed", 40, work=name, reason=repr(error))
        else:
            if count:
                log("round", work=name, count=count)
