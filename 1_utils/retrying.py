"""Calling again after a failure; ``decorators`` hands it on.

失败后重试；从 `decorators` 导入 `retry`。
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from mozhu.kernel.errors import BadToolArgument
from mozhu.kernel.texts import text

P = ParamSpec("P")
T = TypeVar("T")
Errors = type[Exception] | tuple[type[Exception], ...]
_log = logging.getLogger("mozhu.toolbox")


class Decorator(Protocol):
    """What gives back a function of the same parameters and result."""

    def __call__(self, function: Callable[P, T], /) -> Callable[P, T]: ...


@dataclass(frozen=True)
class _Waits:
    attempts: int
    delay_s: float
    backoff: float
    max_delay_s: float

    def __post_init__(self) -> None:
        for name, least in (("attempts", 1), ("delay_s", 0), ("backoff", 0), ("max_delay_s", 0)):
            value = getattr(self, name)
            if not value >= least:  # also NaN
                expected = text("toolbox.expected.at_least", least=least)
                raise BadToolArgument(tool="retry", name=name, value=value, expected=expected)

    def after(self, function: str, number: int, error: Exception) -> float | None:
        """Seconds until the next attempt after attempt ``number``; None where there is none left."""
        if number >= self.attempts:
            _log.warning(text("toolbox.retry.given_up", function=function, number=number, error=repr(error)))
            return None
        wait = self._wait_s(number)
        _log.warning(
            text("toolbox.retry.again", function=function, number=number, error=repr(error), delay_s=wait)
        )
        return wait

    def _wait_s(self, number: int) -> float:
        try:
            return float(min(self.delay_s * self.backoff ** (number - 1), self.max_delay_s))
        except OverflowError:
            return self.max_delay_s


@overload
def retry(function: Callable[P, T], /) -> Callable[P, T]: ...


@overload
def retry(
    *,
    attempts: int = ...,
    delay_s: float = ...,
    backoff: float = ...,
    max_delay_s: float = ...,
    exceptions: Errors = ...,
    sleep: Callable[[float], object] = ...,
    async_sleep: Callable[[float], Awaitable[object]] = ...,
) -> Decorator: ...


def retry(
    function: Callable[..., Any] | None = None,
    /,
    *,
    attempts: int = 3,
    delay_s: float = 1.0,
    backoff: float = 2.0,
    max_delay_s: float = 60.0,
    exceptions: Errors = Exception,
    sleep: Callable[[float], object] = time.sleep,
    async_sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Any:
    """Call again after one of ``exceptions``, ``attempts`` times in all; the last error is raised as it was.

    失败后重试：先等 `delay_s` 秒，之后每次乘以 `backoff`，不超过 `max_delay_s`。

    Ctrl-C and asyncio's cancellation are never retried. ``sleep`` and ``async_sleep`` are injected in tests.

    Raises:
        BadToolArgument: TOOLBOX-001.
    """
    waits = _Waits(attempts, delay_s, backoff, max_delay_s)

    def decorate(inner: Callable[P, T]) -> Callable[P, T]:
        name = getattr(inner, "__qualname__", repr(inner))

        @functools.wraps(inner)
        def plain(*args: P.args, **kwargs: P.kwargs) -> T:
            number = 0
            while True:
                number += 1
                try:
                    return inner(*args, **kwargs)
                except exceptions as error:
                    wait = waits.after(name, number, error)
                    if wait is None:
                        raise
                sleep(wait)

        @functools.wraps(inner)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            number = 0
            while True:
                number += 1
                try:
                    return await cast(Awaitable[Any], inner(*args, **kwargs))
                except exceptions as error:
                    wait = waits.after(name, number, error)
                    if wait is None:
                        raise
                await async_sleep(wait)

        return cast(Callable[P, T], awaited) if inspect.iscoroutinefunction(inner) else plain

    return decorate(function) if function else decorate
