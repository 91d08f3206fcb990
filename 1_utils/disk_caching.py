"""Results kept on disk as JSON, one file a call; ``decorators`` hands it on.

磁盘缓存：每次调用的结果存为一个 JSON 文件；从 `decorators` 导入 `disk_cache`。
"""

from __future__ import annotations

import functools
import inspect
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, ParamSpec, TypeVar, cast

from retrying import Decorator

from mozhu.kernel.errors import BadJson, BadToolArgument, MissingFile, NotJsonValue
from mozhu.kernel.files import read_json, sha256_json, write_json
from mozhu.kernel.texts import text

P = ParamSpec("P")
T = TypeVar("T")
_MISSING = object()


def disk_cache(
    folder: str | Path = "6_output/cache",
    *,
    ttl_s: float | None = None,
    version: str = "",
    clock: Callable[[], float] = time.time,
) -> Decorator:
    """Keep results over processes in ``folder``, under the function, its source and its arguments.

    磁盘缓存；参数和结果须是 JSON 能原样存取的值。函数改动后自动重新计算；它调用的函数改动后请换 `version`。

    ``f(1)`` and ``f(x=1)`` are one call. A damaged file is computed anew. Adds ``cache_clear()``.

    Raises:
        NotJsonValue: TOOLBOX-005, an argument or a result would not come back as it was; nothing is kept.
        BadToolArgument: TOOLBOX-001, the function is async or a generator, or ``ttl_s`` is negative.
    """
    if ttl_s is not None and not ttl_s >= 0:
        refuse("disk_cache", "ttl_s", ttl_s, text("toolbox.expected.at_least", least=0))
    place = Path(folder).expanduser().absolute()

    def decorate(inner: Callable[P, T]) -> Callable[P, T]:
        refuse_generator("disk_cache", inner)
        if inspect.iscoroutinefunction(inner):
            refuse("disk_cache", "function", inner.__qualname__, text("toolbox.expected.sync"))
        signature, own = inspect.signature(inner), place / _file_name(inner)
        identity = {"function": f"{inner.__module__}.{inner.__qualname__}", "source": _source(inner)}

        @functools.wraps(inner)
        def kept(*args: P.args, **kwargs: P.kwargs) -> T:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            arguments = _plain_arguments(bound.arguments)
            _check_json(arguments, f"{inner.__qualname__}()")
            path = own / f"{_hex({**identity, 'version': version, 'arguments': arguments})}.json"
            value = _read(path, ttl_s, clock)
            if value is _MISSING:
                value = inner(*args, **kwargs)
                _check_json(value, f"{inner.__qualname__}() ->")
                write_json(path, {"schema": 1, "saved": clock(), "arguments": arguments, "value": value})
            return cast(T, value)

        def clear() -> None:
            for path in own.glob("*.json"):
                path.unlink(missing_ok=True)

        cast(Any, kept).cache_clear = clear
        return kept

    return decorate


def refuse(tool: str, name: str, value: object, expected: str) -> NoReturn:
    raise BadToolArgument(tool=tool, name=name, value=value, expected=expected)


def refuse_generator(tool: str, function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        refuse(tool, "function", function.__qualname__, text("toolbox.expected.no_generator"))


def _read(path: Path, ttl_s: float | None, clock: Callable[[], float]) -> Any:
    try:
        entry = read_json(path)
        if ttl_s is not None and clock() - entry["saved"] >= ttl_s:
            return _MISSING
        return entry["value"]
    except (MissingFile, BadJson, KeyError, TypeError, UnicodeError):
        return _MISSING


def _plain_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Paths as text, and ``*args`` as a list: both name the same call."""
    listed = {name: list(value) if isinstance(value, tuple) else value for name, value in arguments.items()}
    return {name: str(value) if isinstance(value, Path) else value for name, value in listed.items()}


def _check_json(value: Any, where: str) -> None:
    try:
        back = json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJsonValue(where=where, reason=str(error)) from error
    if back != value:
        raise NotJsonValue(
            where=where, reason=text("toolbox.json.changed", value=repr(value), back=repr(back))
        )


def _file_name(function: Callable[..., Any]) -> str:
    name = f"{function.__module__}.{function.__qualname__}"
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in name).strip(".")


def _source(function: Callable[..., Any]) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt
        return ""


def _hex(value: Any) -> str:
    return sha256_json(value).removeprefix("sha256:")
