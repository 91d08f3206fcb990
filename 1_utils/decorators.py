"""Decorators for plain and ``async`` functions: retry, timing, cache, disk_cache, deprecated.

装饰器：重试、计时、内存缓存、磁盘缓存、弃用提示；普通函数与 async 函数均可（磁盘缓存只用于普通函数）。

``retry``, ``timing`` and ``cache`` are used with or without brackets: ``@retry`` and ``@retry(attempts=5)``.
"""

from __future__ import annotations

import functools
import inspect
import logging
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast, overload

from caching import cache, disk_cache
from retrying import Decorator, retry

from mozhu.kernel.texts import text

__all__ = ["Timing", "cache", "deprecated", "disk_cache", "retry", "timing"]
P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger("mozhu.toolbox")


@dataclass(frozen=True)
class Timing:
    """Seconds of one call; ``cpu_s`` is of the whole process: what else ran meanwhile counts too."""

    function: str
    wall_s: float
    cpu_s: float


@overload
def timing(function: Callable[P, T], /) -> Callable[P, T]: ...


@overload
def timing(*, report: Callable[[Timing], object] | None = ...) -> Decorator: ...


def timing(
    function: Callable[..., Any] | None = None, /, *, report: Callable[[Timing], object] | None = None
) -> Any:
    """Measure every call, also one that fails; given to ``report``, else logged at INFO on ``mozhu.toolbox``.

    计时：实际时间与 CPU 时间（秒）。
    """

    def decorate(inner: Callable[P, T]) -> Callable[P, T]:
        name = getattr(inner, "__qualname__", repr(inner))

        @functools.wraps(inner)
        def plain(*args: P.args, **kwargs: P.kwargs) -> T:
            with _measured(name, report or _log_timing):
                return inner(*args, **kwargs)

        @functools.wraps(inner)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            with _measured(name, report or _log_timing):
                return await cast(Awaitable[Any], inner(*args, **kwargs))

        return cast(Callable[P, T], awaited) if inspect.iscoroutinefunction(inner) else plain

    return decorate(function) if function else decorate


def deprecated(replacement: str | None = None, *, since: str | None = None) -> Decorator:
    """Warn (``DeprecationWarning``, at the caller's line) at every call, naming ``replacement``.

    弃用提示：调用时给出警告，并指出应改用什么。
    """

    def decorate(inner: Callable[P, T]) -> Callable[P, T]:
        name = getattr(inner, "__qualname__", repr(inner))
        kind = "use" if replacement else "gone"
        words = text(f"toolbox.deprecated.{kind}", name=name, replacement=replacement)
        if since:
            words += " " + text("toolbox.deprecated.since", since=since)

        @functools.wraps(inner)
        def plain(*args: P.args, **kwargs: P.kwargs) -> T:
            warnings.warn(words, DeprecationWarning, stacklevel=2)
            return inner(*args, **kwargs)

        @functools.wraps(inner)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            warnings.warn(words, DeprecationWarning, stacklevel=2)
            return await cast(Awaitable[Any], inner(*args, **kwargs))

        return cast(Callable[P, T], awaited) if inspect.iscoroutinefunction(inner) else plain

    return decorate


@contextmanager
def _measured(function: str, report: Callable[[Timing], object]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        report(Timing(function, time.perf_counter() - wall, time.process_time() - cpu))


def _log_timing(found: Timing) -> None:
    words = text("toolbox.timing.took", function=found.function, wall_s=found.wall_s, cpu_s=found.cpu_s)
    _log.info(words, extra={"wall_s": round(found.wall_s, 6), "cpu_s": round(found.cpu_s, 6)})
