"""The registry's verbs, here or at a service: ``--server URL`` asks there and gives the same views."""

from __future__ import annotations

import os
import types
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from mozhu.cli.command import Call
from mozhu.kernel import slots
from mozhu.kernel.errors import NotRemote
from mozhu.kernel.files import read_text
from mozhu.platform.accounts.local_token import TOKEN_FILE
from mozhu.platform.catalog.problems import Problem

if TYPE_CHECKING:
    from mozhu.client.client import Client

V = TypeVar("V")
SERVER_VARIABLE = "MOZHU_SERVER"


def server_of(call: Call) -> str | None:
    """The service that is asked; ``None`` for the workspace on this machine."""
    return call.spec.server or os.environ.get(SERVER_VARIABLE) or None


def client_for(call: Call) -> Client:
    """A client of the service that ``call`` names; on this machine it reads the workspace's own token."""
    server = server_of(call)
    assert server is not None
    client: Client = slots.load("mozhu.rooms", "client")(server, _token(call, server))
    return client


def refuse_remote(call: Call, verb: str, reason: str = "") -> None:
    """Raises NotRemote (API-022) where a service is named."""
    if server_of(call) is not None:
        raise NotRemote(verb=verb, reason=reason)


def as_view(kind: type[V], value: Any) -> V:
    """A view again out of its JSON; what this release does not know is left out."""
    made: V = _view(kind, value)
    return made


def _view(kind: Any, value: Any) -> Any:
    if kind is Problem:
        known = {name: value[name] for name in ("level", "file", "code")}
        params = {name: item for name, item in value.items() if name not in (*known, "reason")}
        return Problem(**known, params=params)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = get_type_hints(kind)
        given = {field.name: field for field in fields(kind) if field.init and field.name in value}
        return kind(**{name: _view(hints[name], value[name]) for name in given})
    if get_origin(kind) is tuple:
        inner = get_args(kind)[0]
        return tuple(_view(inner, item) for item in value)
    if get_origin(kind) in (Union, types.UnionType) and value is not None:
        return _view(next(part for part in get_args(kind) if part is not type(None)), value)
    return value


def _token(call: Call, server: str) -> str | None:
    """The workspace's own token, only for a service on this machine; elsewhere ``MOZHU_TOKEN`` holds it."""
    path: Path = call.home.models / TOKEN_FILE
    is_here = urlsplit(server).hostname in ("127.0.0.1", "localhost", "::1")
    if "MOZHU_TOKEN" in os.environ or not is_here or not path.is_file():
        return None
    return read_text(path).strip()
