"""Texts that not every database keeps, NUL and halves of surrogate pairs, are refused at the door, alike for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from starlette.requests import Request

from mozhu.kernel.errors import StrangeText
from mozhu.kernel.texts import is_plain
from mozhu.server.problems import problem_line

Place = tuple[Any, ...]


async def only_plain_texts(request: Request) -> None:
    """Go on where every text of the request is plain; a dependency of every route.

    Raises:
        StrangeText: API-013 naming each that is not.
    """
    found = [*_strange(("path",), request.path_params), *_strange(("query",), dict(request.query_params))]
    if getattr(request.scope.get("route"), "body_field", None) is not None and not found:
        found = list(_strange(("body",), await _body(request)))
    if found:
        lines = [problem_line(place, {"type": "plain", "input": value}) for place, value in found]
        raise StrangeText(problems="\n  ".join(lines), count=len(lines))


async def _body(request: Request) -> Any:
    """The JSON of the request; nothing where it is none, which others say."""
    try:
        return await request.json()
    except (ValueError, RecursionError):
        return None


def _strange(place: Place, value: Any) -> Iterator[tuple[Place, str]]:
    waiting: list[tuple[Place, Any]] = [(place, value)]
    while waiting:
        place, value = waiting.pop()
        if isinstance(value, str):
            if not is_plain(value):
                yield place, value
        elif isinstance(value, dict):
            waiting += [((*place, name), name) for name in value if not is_plain(name)]
            waiting += [((*place, name), item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [((*place, at), item) for at, item in enumerate(value)]
