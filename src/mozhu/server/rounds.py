"""What the service does by itself, again and again, beside answering: one thread a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from mozhu.kernel.errors import MozhuError
from mozhu.server.logs import log

_EVERY_S, _MOST_S = 1.0, 30.0


class Rounds:
    """Calls each of ``works`` every ``every_s`` seconds until it is stopped.

    One that fails is called again, each time after twice as long, half a minute at most.
    """

    def __init__(self, works: Sequence[tuple[str, Callable[[], int]]], *, every_s: float = _EVERY_S) -> None:
        self._works = works
        self._every_s = every_s
        self._failures: dict[str, int] = {}
        self._due: dict[str, float] = {}
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
                if not self._stop.is_set() and time.monotonic() >= self._due.get(name, 0.0):
                    self._one(name, work)

    def _one(self, name: str, work: Callable[[], int]) -> None:
        try:
            count = work()
        except MozhuError as error:
            log("round failed", 30, work=name, code=error.code, reason=error.what)
            self._put_off(name)
        except Exception as error:
            log("round failed", 40, work=name, reason=repr(error))
            self._put_off(name)
        else:
            self._failures.pop(name, None)
            if count:
                log("round", work=name, count=count)

    def _put_off(self, name: str) -> None:
        self._failures[name] = count = self._failures.get(name, 0) + 1
        self._due[name] = time.monotonic() + min(_MOST_S, self._every_s * 2.0 ** min(count, 10))
