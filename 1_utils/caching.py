"""Results that are kept: in memory, and on disk over processes; ``decorators`` hands both on.

缓存：内存缓存与磁盘缓存；从 `decorators` 导入 `cache`、`disk_cache`。
"""

from __future__ import annotations

import functools
import inspect
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from disk_caching import disk_cache, refuse, refuse_generator

from mozhu.kernel.texts import text

__all__ = ["CacheInfo", "cache", "disk_cache"]
P = ParamSpec("P")
T = TypeVar("T")
_MISSING = object()


class CacheInfo(NamedTuple):
    """As ``functools.lru_cache`` gives it."""

    hits: int
    misses: int
    maxsize: int | None
    currsize: int


class _Memory:
    """The results, the least recently used first; safe for threads."""

    def __init__(self, maxsize: int | None, ttl_s: float | None, clock: Callable[[], float]) -> None:
        self.maxsize, self._ttl_s, self._clock = maxsize, ttl_s, clock
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    def get(self, key: Hashable) -> Any:
        with self._lock:
            until, value = self._kept.get(key, (0.0, _MISSING))
            if value is _MISSING or (self._ttl_s is not None and self._clock() >= until):
                self._kept.pop(key, None)
                self._misses += 1
                return _MISSING
            self._kept.move_to_end(key)
            self._hits += 1
            return value

    def put(self, key: Hashable, value: Any) -> None:
        with self._lock:
            self._kept[key] = (self._clock() + (self._ttl_s or 0.0), value)
            self._kept.move_to_end(key)
            while self.maxsize is not None and len(self._kept) > self.maxsize:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._kept.clear()
            self._hits = self._misses = 0

    def info(self) -> CacheInfo:
        with self._lock:
            return CacheInfo(self._hits, self._misses, self.maxsize, len(self._kept))


def cache(
    function: Callable[..., Any] | None = None,
    /,
    *,
    maxsize: int | None = 128,
    ttl_s: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """Keep the ``maxsize`` last used results in memory (None: all), each ``ttl_s`` seconds (None: for ever).

    内存缓存；参数须可哈希。结果是同一个对象，请勿就地修改。

    Arguments must be hashable; ``1``, ``1.0`` and ``True`` are different ones. A call that fails is not kept.
    Two calls at the same moment may both be computed. Adds ``cache_clear()`` and ``cache_info()``.

    Raises:
        BadToolArgument: TOOLBOX-001, also for a generator, which could be read only once.
    """
    for name, value, least in (("maxsize", maxsize, 1), ("ttl_s", ttl_s, 0)):
        if value is not None and not value >= least:
            refuse("cache", name, value, text("toolbox.expected.at_least", least=least))

    def decorate(inner: Callable[P, T]) -> Callable[P, T]:
        refuse_generator("cache", inner)
        memory = _Memory(maxsize, ttl_s, clock)

        @functools.wraps(inner)
        def plain(*args: P.args, **kwargs: P.kwargs) -> T:
            key = _key(args, kwargs)
            value = memory.get(key)
            if value is _MISSING:
                value = inner(*args, **kwargs)
                memory.put(key, value)
            return cast(T, value)

        @functools.wraps(inner)
        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            key = _key(args, kwargs)
            value = memory.get(key)
            if value is _MISSING:
                value = await cast(Awaitable[Any], inner(*args, **kwargs))
                memory.put(key, value)
            return value

        kept: Any = awaited if inspect.iscoroutinefunction(inner) else plain
        kept.cache_clear, kept.cache_info = memory.clear, memory.info
        return cast(Callable[P, T], kept)

    return decorate(function) if function else decorate


def _key(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
    named = tuple(sorted(kwargs.items()))
    return args, named, tuple(type(value) for value in (*args, *(value for _, value in named)))
