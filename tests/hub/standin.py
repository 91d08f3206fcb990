"""A strict stand-in for the Hugging Face Hub on 127.0.0.1: what its clients ask of data sets and models, no more.

Requests that it does not know are answered 501 and kept in ``unknown``; a test looks at them. Served are the API's
``/api/datasets/<id>[/revision|/tree|/paths-info|…]`` and ``/datasets/<id>/resolve/<revision>/<path>``, for models
``/api/models/…`` and ``/<id>/resolve/…``; files under ``lfs`` answer with a redirect to ``/cdn/``, as large ones do
there.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_ID = r"(?P<id>[\w.-]+/[\w.-]+)"
_API = rf"/api/(datasets|models)/{_ID}"
_ROUTES = {
    "info": re.compile(rf"{_API}(/revision/(?P<revision>[^/]+))?"),
    "tree": re.compile(rf"{_API}/tree/(?P<revision>[^/]+)(/(?P<path>.+))?"),
    "paths": re.compile(rf"{_API}/paths-info/(?P<revision>[^/]+)"),
    "refs": re.compile(rf"{_API}/refs"),
    "resolve": re.compile(rf"(/datasets)?/{_ID}/resolve/(?P<revision>[^/]+)/(?P<path>.+)"),
    "harnesses": re.compile(r"/api/agent-harnesses"),  # asked for by the client itself, whatever is fetched
    "cdn": re.compile(r"/cdn/(?P<digest>[0-9a-f]{64})"),
}


@dataclass
class Repository:
    """``files`` by their paths. ``gated``: what is asked without ``token`` is answered 401 with that reason."""

    files: dict[str, bytes]
    lfs: set[str] = field(default_factory=set)
    gated: bool = False
    token: str = ""

    @property
    def commit(self) -> str:
        whole = b"".join(name.encode() + content for name, content in sorted(self.files.items()))
        return hashlib.sha1(whole).hexdigest()


@dataclass
class StandIn:
    """``asked`` is every request as ``METHOD path``; ``cut`` names files whose bodies end half-way, ``forged`` those
    whose bytes are not what the listing says.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)
    forged: set[str] = field(default_factory=set)
    address: str = ""
    storage: str = ""

    def downloads(self) -> list[str]:
        """The paths of files whose bodies were asked for."""
        return [
            line for line in self.asked if line.startswith("GET") and ("/resolve/" in line or "/cdn/" in line)
        ]


@contextmanager
def serving(hub: StandIn) -> Iterator[StandIn]:
    """``hub`` answers at ``hub.address`` inside the block."""

    class Handler(_Handler):
        standin = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    hub.storage = f"http://localhost:{server.server_port}"  # another host, as the hub's storage is
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    standin: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._route()

    def do_HEAD(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def log_message(self, *_: object) -> None:
        pass

    def _route(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.standin.asked.append(f"{self.command} {path}")
        for name, route in _ROUTES.items():
            found = route.fullmatch(path)
            allowed = {"POST"} if name == "paths" else {"GET", "HEAD"}
            if found and self.command in allowed:
                return self._known(name, found.groupdict(), body)
        self.standin.unknown.append(f"{self.command} {self.path}")
        return self._error(501, "NotImplemented", "the stand-in does not know this request")

    def _known(self, name: str, parts: dict[str, str | None], body: bytes) -> None:
        if name == "cdn":
            return self._send_content(*self._by_digest(str(parts["digest"])))
        if name == "harnesses":
            return self._send_json({})
        repository = self.standin.repositories.get(str(parts["id"]))
        authorised = (
            self.headers.get("Authorization") == f"Bearer {repository.token}" if repository else False
        )
        if repository is None or (repository.token and not repository.gated and not authorised):
            # the real hub answers 401 for what is not there and for what is private: it does not say which
            return self._error(401, "RepoNotFound", "Invalid username or password.")
        if repository.gated and not authorised and name == "resolve":
            return self._error(401, "GatedRepo", "Access to this repository is restricted.")
        if parts.get("revision") not in {None, "main", repository.commit}:
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {parts['revision']}")
        return {
            "info": self._info,
            "tree": self._tree,
            "paths": self._paths,
            "refs": self._refs,
            "resolve": self._file,
        }[name](repository, parts, body)

    def _info(self, repository: Repository, parts: dict[str, str | None], _: bytes) -> None:
        self._send_json(
            {
                "_id": "1",
                "id": parts["id"],
                "author": str(parts["id"]).split("/")[0],
                "sha": repository.commit,
                "private": bool(repository.token) and not repository.gated,
                "gated": "auto" if repository.gated else False,
                "disabled": False,
                "lastModified": "2026-01-02T03:04:05.000Z",
                "createdAt": "2026-01-02T03:04:05.000Z",
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": name} for name in sorted(repository.files)],
            }
        )

    def _refs(self, repository: Repository, *_: object) -> None:
        branch = {"name": "main", "ref": "refs/heads/main", "targetCommit": repository.commit}
        self._send_json({"branches": [branch], "converts": [], "tags": []})

    def _tree(self, repository: Repository, parts: dict[str, str | None], _: bytes) -> None:
        folder = f"{parts['path']}/" if parts.get("path") else ""
        recursive = parse_qs(urlsplit(self.path).query).get("recursive", ["false"])[0].lower() == "true"
        inside = [name for name in sorted(repository.files) if name.startswith(folder)]
        if folder and not inside:
            return self._error(404, "EntryNotFound", f"{parts['path']} does not exist on main")
        folders = {
            folder + "/".join(name.removeprefix(folder).split("/")[:depth])
            for name in inside
            for depth in range(1, name.removeprefix(folder).count("/") + 1)
        }
        if not recursive:
            inside = [name for name in inside if "/" not in name.removeprefix(folder)]
            folders = {name for name in folders if "/" not in name.removeprefix(folder)}
        entries = [
            {"type": "directory", "oid": "0" * 40, "size": 0, "path": name} for name in sorted(folders)
        ]
        return self._send_json(entries + [self._entry(repository, name) for name in inside])

    def _paths(self, repository: Repository, _: object, body: bytes) -> None:
        told = json.loads(body) if body[:1] == b"{" else parse_qs(body.decode())
        names = told["paths"]
        found = []
        for name in [names] if isinstance(names, str) else names:
            if name in repository.files:
                found.append(self._entry(repository, name))
            elif any(other.startswith(f"{name}/") for other in repository.files):
                found.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": name})
        self._send_json(found)

    def _entry(self, repository: Repository, name: str) -> dict[str, object]:
        content = repository.files[name]
        entry: dict[str, object] = {"type": "file", "oid": _etag(content), "size": len(content), "path": name}
        if name in repository.lfs:
            digest = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 134}
        return entry

    def _file(self, repository: Repository, parts: dict[str, str | None], _: bytes) -> None:
        name = str(parts["path"])
        content = repository.files.get(name)
        if content is None:
            return self._error(404, "EntryNotFound", f"{name} does not exist", commit=repository.commit)
        headers = {"X-Repo-Commit": repository.commit, "Accept-Ranges": "bytes"}
        if name not in repository.lfs:
            return self._send_content(name, content, {**headers, "ETag": f'"{_etag(content)}"'})
        digest = hashlib.sha256(content).hexdigest()
        headers |= {"X-Linked-ETag": f'"{digest}"', "X-Linked-Size": str(len(content))}
        headers["Location"] = f"{self.standin.storage}/cdn/{digest}"
        return self._send(302, b"", headers)

    def _by_digest(self, digest: str) -> tuple[str, bytes]:
        for repository in self.standin.repositories.values():
            for name, content in repository.files.items():
                if hashlib.sha256(content).hexdigest() == digest:
                    return name, content
        raise KeyError(digest)

    def _send_content(self, name: str, content: bytes, headers: dict[str, str] | None = None) -> None:
        headers = {"Content-Type": "application/octet-stream", **(headers or {})}
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        status = 200
        if wanted:
            start, end = int(wanted[1]), int(wanted[2] or len(content) - 1)
            if start >= len(content):
                return self._send(416, b"", {"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {start}-{min(end, len(content) - 1)}/{len(content)}"
            content, status = content[start : end + 1], 206
        if name in self.standin.forged:
            content = bytes(len(content))
        return self._send(status, content, headers, cut=name in self.standin.cut)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8"})

    def _error(self, status: int, code: str, message: str, commit: str = "") -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message, "Content-Type": "application/json"}
        if commit:
            headers["X-Repo-Commit"] = commit
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str], *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if cut:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(content)


def _etag(content: bytes) -> str:
    """The id that git gives the content, which is what the hub takes for small files."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def rows(count: int, word: str) -> bytes:
    """A JSON-lines file of questions and answers."""
    values = [
        {"instruction": f"{word}的第{i}个问题是什么？", "input": "", "output": f"{word}{i}"}
        for i in range(count)
    ]
    return "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode()
