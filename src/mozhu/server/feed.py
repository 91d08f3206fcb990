"""What happens, handed to every stream that waits: one reader of the database for all of them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

from mozhu.app import Composition
from mozhu.kernel.errors import MozhuError

_EVERY_S = 0.5


class Feed:
    """Knows the number of the newest event while somebody waits for it."""

    def __init__(self, composition: Composition) -> None:
        self._composition = composition
        self._waiting: asyncio.Event | None = None
        self._newest = 0
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._listeners = 0
        self.is_stopping = False

    def start(self) -> None:
        """In the running loop."""
        self._changed = asyncio.Condition()
        self._waiting = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> None:
        """Every stream ends."""
        self.is_stopping = True
        if self._task is not None:
            self._task.cancel()

    async def newer_than(self, seen: int, timeout_s: float) -> bool:
        """Whether there is an event after ``seen``; waits for one, at most ``timeout_s``."""
        assert self._waiting is not None
        self._listeners += 1
        self._waiting.set()
        try:
            async with self._changed:
                check = self._changed.wait_for(lambda: self._newest > seen or self.is_stopping)
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(check, timeout_s)
                return self._newest > seen
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._waiting.clear()

    async def _watch(self) -> None:
        assert self._waiting is not None
        try:
            while True:
                await self._waiting.wait()
                with suppress(MozhuError):  # a busy database is asked again
                    self._newest = await run_in_threadpool(self._composition.registry.newest_event)
                async with self._changed:
                    self._changed.notify_all()
                await asyncio.sleep(_EVERY_S)
        except asyncio.CancelledError:
            async with self._changed:
                self._changed.notify_all()
            raise
