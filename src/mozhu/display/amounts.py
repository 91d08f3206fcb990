"""Bytes or items on their way, on the same bar as a run's steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mozhu.display.progress import open_view
from mozhu.kernel.files import human_size
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.kernel.texts import text

_EVERY_S = 0.2


@contextmanager
def showing(words: str, *, quiet: bool, are_bytes: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A function that is told what is done and of how much; it shows that with speed and time left.

    Args:
        words: The key of what is going on, in the text catalogue.
    """
    view, began, last = open_view(quiet=quiet), time.monotonic(), 0.0

    def on_progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY_S and done < total:
            return
        last = now
        speed = done / max(now - began, 1e-6)
        shown = (
            f"{human_size(done)}/{human_size(total)} · {human_size(speed)}/s"
            if are_bytes
            else f"{done}/{total}"
        )
        left = (total - done) / speed if speed else 0.0
        event = {"kind": "step", "t": iso_time(utc_now()), "step": done, "total": total, "eta_s": left}
        view.show({**event, "unit": f"{text(words)} {shown}"})

    try:
        yield on_progress
    finally:
        view.close()
