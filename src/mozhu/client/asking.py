"""A request before it is sent, and what comes of it: shared by the sync and the async client."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlsplit

from mozhu.client.problems import error_of
from mozhu.kernel.errors import ServiceUnreachable, StrangeAnswer
from mozhu.kernel.texts import language
from mozhu.specs.wire.place import IDEMPOTENCY_KEY, PREFIX

T = TypeVar("T")
TOKEN_VARIABLE = "MOZHU_TOKEN"
# Answers after which the same request may be sent again.
AGAIN = frozenset({502, 503, 504})
TRIES = 6


@dataclass(frozen=True)
class Ask(Generic[T]):
    """One request, whose answer is a ``T``."""

    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def query(self) -> dict[str, Any]:
        return {name: _plain(value) for name, value in self.params.items() if value is not None}

    def all_headers(self) -> dict[str, str]:
        """A POST gets a key of its own, so that it can be sent again without being done twice."""
        own = {IDEMPOTENCY_KEY: secrets.token_hex(16)} if self.method == "POST" else {}
        return {**own, **self.headers}

    @property
    def url(self) -> str:
        return PREFIX + self.path


def get(path: str, **params: Any) -> Ask[Any]:
    return Ask("GET", path, params)


def segment(value: str) -> str:
    """``value`` as one part of a path."""
    return quote(value, safe="")


def headers_for(token: str | None) -> dict[str, str]:
    given = token or os.environ.get(TOKEN_VARIABLE)
    signed = {"Authorization": f"Bearer {given}"} if given else {}
    return {"Accept": "application/json", "Accept-Language": language(), "User-Agent": "mozhu", **signed}


def answer_of(server: str, status: int, content: bytes) -> Any:
    """The value that an answer holds.

    Raises:
        MozhuError: what the service said, with its own code. StrangeAnswer: API-021.
    """
    if status >= 400:
        raise error_of(server, status, content)
    if status == 204 or not content:
        return None
    try:
        return json.loads(content)
    except ValueError as error:
        raise StrangeAnswer(server=server, reason=str(error)) from error


def wait_s(attempt: int, retry_after: str | None) -> float:
    """Seconds before the next try: what the service asks for, else twice as long each time."""
    if retry_after and retry_after.isdigit():
        return min(float(retry_after), 30.0)
    return float(min(0.1 * 2**attempt, 5.0))


def unreachable(server: str, error: Exception) -> ServiceUnreachable:
    return ServiceUnreachable(server=server, reason=str(error) or type(error).__name__)


def is_here(server: str) -> bool:
    """Whether ``server`` is this machine, which no proxy stands before."""
    return urlsplit(server).hostname in ("127.0.0.1", "localhost", "::1")


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value
