"""The upload service behind plain HTTP, in a process of its own that can be killed: `python -m … ROOT PORT`.

Only what the measurement needs; the product's routes are in `mozhu.server`.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import MozhuError
from mozhu.platform.accounts.subject import LOCAL_ADMIN
from mozhu.platform.database.engine import open_database
from mozhu.platform.storage.addresses import open_store
from mozhu.platform.uploads.rooms import part_room
from mozhu.platform.uploads.service import Uploads
from mozhu.specs.uploads import NewFile

_PIECE_BYTES = 256 << 10


def serve(root: Path, port: int) -> None:
    store = open_store(None, root)
    uploads = Uploads(
        open_database(root / "catalog.db"),
        store,
        part_room(store, root),
        may_read=lambda session, subject, digest: False,
    )
    server = ThreadingHTTPServer(("127.0.0.1", port), _handler(uploads))
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


def _handler(uploads: Uploads) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer(lambda: uploads.state(LOCAL_ADMIN, self._word(2)).to_json())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith("/complete"):
                self._answer(lambda: uploads.complete(LOCAL_ADMIN, self._word(2)).to_json())
            else:
                files = [NewFile(**file) for file in json.loads(body)]
                self._answer(lambda: uploads.create(LOCAL_ADMIN, files).to_json())

        def do_PUT(self) -> None:
            self._answer(self._part)

        def _part(self) -> dict[str, Any]:
            left = int(self.headers["Content-Length"])
            number, digest = int(self._word(4)), self.headers["X-Sha256"]
            with uploads.part(LOCAL_ADMIN, self._word(2), number, digest) as part:
                while left:
                    piece = self.rfile.read(min(left, _PIECE_BYTES))
                    if not piece:
                        raise ConnectionResetError
                    left -= len(piece)
                    part.write(piece)
                return part.commit().to_json()

        def _word(self, place: int) -> str:
            return self.path.split("/")[place]

        def _answer(self, act: Any) -> None:
            try:
                status, value = 200, act()
            except MozhuError as error:
                status, value = error.status, error.to_json()
            except ConnectionError:
                self.close_connection = True
                return
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]))
