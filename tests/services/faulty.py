"""A small S3 server of ours that misbehaves on request: 500s, everything for a range, cut connections, wrong bytes."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FAULTS = ("error", "whole", "cut", "wrong", "refuse")


class FaultyS3:
    """``faults`` are used up one by one, each by the next request that it can spoil; ``always`` by every one."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.faults: list[str] = []
        self.always: str | None = None
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def next_fault(self, method: str, path: str) -> str | None:
        with self._lock:
            self.requests.append((method, path))
            if self.always:
                return self.always
            fitting = [fault for fault in self.faults if method in _SPOILS[fault]]
            if fitting:
                self.faults.remove(fitting[0])
            return fitting[0] if fitting else None


_SPOILS = {
    "error": {"GET", "PUT", "HEAD"},
    "whole": {"GET"},
    "cut": {"GET"},
    "wrong": {"GET"},
    "refuse": {"GET", "PUT", "HEAD"},
}


@contextmanager
def running_faulty_s3() -> Iterator[FaultyS3]:
    server = FaultyS3()
    thread = threading.Thread(target=server._server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server._server.shutdown()
        server._server.server_close()


def _handler(state: FaultyS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._give(with_body=False)

        def do_GET(self) -> None:
            self._give(with_body=True)

        def do_PUT(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if self._spoiled(state.next_fault("PUT", self.path)):
                return
            state.objects[self._key] = content
            self._answer(200, b"", {"ETag": _etag(content)})

        def do_DELETE(self) -> None:
            state.next_fault("DELETE", self.path)
            state.objects.pop(self._key, None)
            self._answer(204, b"")

        def _give(self, *, with_body: bool) -> None:
            fault = state.next_fault(self.command, self.path)
            if self._spoiled(fault):
                return
            content = state.objects.get(self._key)
            if content is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if with_body else b"")
                return
            headers = {"ETag": _etag(content), "Last-Modified": formatdate(usegmt=True)}
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            status, body = 200, content
            if asked and fault != "whole":
                first, last = int(asked[1]), min(int(asked[2]), len(content) - 1)
                status, body = 206, content[first : last + 1]
                headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            if fault == "wrong":
                body = bytes([body[0] ^ 1]) + body[1:]
            if not with_body:
                self._answer(status, b"", headers, length=len(body))
            elif fault == "cut":
                self._answer(status, body[: len(body) // 2], headers, length=len(body))
                self.close_connection = True
            else:
                self._answer(status, body, headers)

        @property
        def _key(self) -> str:
            return self.path.partition("?")[0]

        def _spoiled(self, fault: str | None) -> bool:
            if fault == "error":
                self._answer(500, b"<Error><Code>InternalError</Code></Error>")
            elif fault == "refuse":
                self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
            return fault in {"error", "refuse"}

        def _answer(
            self, status: int, body: bytes, headers: dict[str, str] | None = None, length: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
