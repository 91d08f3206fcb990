"""One POST to a webhook's address, which is looked up, judged and then connected to: no name leads elsewhere."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from mozhu.kernel.errors import ForbiddenAddress
from mozhu.kernel.texts import text

SIGNATURE = "Mozhu-Signature"
_TIMEOUT_S = 10.0
_READ_BYTES = 4096


@dataclass(frozen=True)
class Answer:
    """``status`` is None where nothing answered; ``reason`` says why it does not count as delivered."""

    status: int | None
    reason: str

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def signature(secret: str, time: int, body: bytes) -> str:
    """``t=<unix seconds>,v1=<HMAC-SHA256 of "t.body">``: who knows the secret can check time and content."""
    signed = hmac.new(secret.encode(), f"{time}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={time},v1={signed}"


def check_url(url: str, *, private: bool) -> None:
    """``url`` can be sent to.

    Args:
        private: Addresses of the own network are allowed.

    Raises:
        ForbiddenAddress: HOOK-002.
    """
    _addresses(url, private=private)


def send(url: str, headers: dict[str, str], body: bytes, *, private: bool) -> Answer:
    """What the address answers; a redirection is not followed.

    Raises:
        ForbiddenAddress: HOOK-002.
    """
    parts = urlsplit(url)
    address = _addresses(url, private=private)[0]
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, address)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        response.read(_READ_BYTES)
        return Answer(response.status, "" if response.status < 300 else f"HTTP {response.status}")
    except (OSError, http.client.HTTPException) as error:
        return Answer(None, f"{type(error).__name__}: {error}"[:300])
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """Connects to an address that was judged before, whatever the name means by now."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=_TIMEOUT_S)
        self._address = address
        self._context = context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), _TIMEOUT_S)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host) if self._context else plain


def _connection(scheme: str, host: str, port: int | None, address: str) -> _Connection:
    is_secure = scheme == "https"
    context = ssl.create_default_context() if is_secure else None
    return _Connection(host, port or (443 if is_secure else 80), address, context)


def _addresses(url: str, *, private: bool) -> list[str]:
    """The addresses that the name in ``url`` has now, all of which may be reached."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ForbiddenAddress(url=url, reason=str(error)) from error
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.password:
        raise ForbiddenAddress(url=url, reason=text("hook.form"))
    try:
        found = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ForbiddenAddress(url=url, reason=text("hook.unknown", host=host)) from error
    addresses = [str(item[4][0]) for item in found]
    for address in addresses:
        if not private and not _is_public(address):
            raise ForbiddenAddress(url=url, reason=text("hook.private", address=address))
    return addresses


def _is_public(address: str) -> bool:
    """Whether ``address`` is of the public internet, also where IPv6 wraps an IPv4 address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return _is_public(str(inner))
    return found.is_global and not found.is_multicast
