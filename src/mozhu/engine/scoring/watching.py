"""How far a measurement is, for whoever watches it: every model's answers to the rows are one pass."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text

Row = TypeVar("Row")


@dataclass
class _Watch:
    emit: Emit
    passes: int = 0


_WATCH: ContextVar[_Watch | None] = ContextVar("mozhu_watch", default=None)


@contextmanager
def watched(emit: Emit) -> Iterator[None]:
    """What is measured inside tells ``emit`` of each row: ``step`` of ``total``, and the seconds its pass has left."""
    token = _WATCH.set(_Watch(emit))
    try:
        yield
    finally:
        _WATCH.reset(token)


def each(rows: Sequence[Row]) -> Iterator[Row]:
    """``rows`` as they are; one is told when the next is asked for, so when it is done."""
    watch = _WATCH.get()
    if watch is None:
        yield from rows
        return
    watch.passes += 1
    unit, total, began = text("export.certify.pass", number=watch.passes), len(rows), time.monotonic()
    for number, row in enumerate(rows, start=1):
        yield row
        left = (time.monotonic() - began) / number * (total - number)
        watch.emit("step", step=number, total=total, unit=unit, eta_s=left)
