"""How far a measurement is, for whoever watches it: every model's answers to the rows are one pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Sequence[int])
_SHOWN_EVERY_S = 0.25


@dataclass
class _Watch:
    emit: Emit
    passes: int = 0


_WATCH: ContextVar[_Watch | None] = ContextVar("mozhu_watch", default=None)


@contextmanager
def watched(emit: Emit) -> Iterator[None]:
    """What is measured inside tells ``emit`` how far it is: ``step`` of ``total``, its speed, the seconds left."""
    token = _WATCH.set(_Watch(emit))
    try:
        yield
    finally:
        _WATCH.reset(token)


def each(rows: Sequence[Row]) -> Iterator[Row]:
    """``rows`` of tokens as they are; one is told when the next is asked for, so when it is done."""
    watch = _WATCH.get()
    if watch is None:
        yield from rows
        return
    watch.passes += 1
    unit = text("export.certify.pass", number=watch.passes)
    yield from _told(watch.emit, rows, len, "tokens_per_s", unit)


def each_of_size(items: Sequence[Item], size_bytes: Callable[[Item], int], unit: str) -> Iterator[Item]:
    """``items`` that are read whole, files or tensors; told at most four times a second, and the last."""
    watch = _WATCH.get()
    if watch is None:
        yield from items
        return
    yield from _told(watch.emit, items, size_bytes, "bytes_per_s", text(unit), every_s=_SHOWN_EVERY_S)


def _told(
    emit: Emit,
    items: Sequence[Item],
    weigh: Callable[[Item], int],
    speed: str,
    unit: str,
    *,
    every_s: float = 0.0,
) -> Iterator[Item]:
    whole, done = sum(map(weigh, items)), 0
    began, shown = time.monotonic(), 0.0
    for number, item in enumerate(items, start=1):
        yield item
        done += weigh(item)
        now = time.monotonic()
        if now - shown < every_s and number < len(items):
            continue
        shown, took = now, max(now - began, 1e-9)
        fields: dict[str, Any] = {speed: round(done / took, 1)}
        emit(
            "step",
            step=number,
            total=len(items),
            unit=unit,
            eta_s=took / max(done, 1) * (whole - done),
            **fields,
        )
