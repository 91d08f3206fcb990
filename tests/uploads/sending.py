"""An installation with nothing but uploads, and a sender that does what the service tells it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from mozhu.kernel.progress import utc_now
from mozhu.platform.accounts.subject import Subject
from mozhu.platform.database.engine import open_database
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.uploads.rooms import part_room
from mozhu.platform.uploads.service import Uploads
from mozhu.platform.uploads.views import Limits, UploadView
from mozhu.specs.uploads import NewFile, find_part

ANN, BOB = Subject("ann", ("vision",)), Subject("bob", ("speech",))
PART = 5 << 20


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Installation:
    """``readable`` holds the (user, digest) pairs that versions let a user read; ``now`` can be moved."""

    def __init__(self, root: Path, store: BlobStore, limits: Limits | None = None) -> None:
        self.root, self.store = root, store
        self.database = open_database(root / "catalog.db")
        self.readable: set[tuple[str, str]] = set()
        self.later = timedelta()
        self.parts = part_room(store, root)
        self.uploads = self.service(limits)

    def service(self, limits: Limits | None = None, **changed: Any) -> Uploads:
        given: dict[str, Any] = {"parts": self.parts, "store": self.store, **changed}
        return Uploads(
            self.database,
            given["store"],
            given["parts"],
            limits=limits or Limits(reserve_bytes=0),
            may_read=lambda session, subject, name: (subject.user, name) in self.readable,
            clock=self.now,
        )

    def now(self) -> datetime:
        return utc_now() + self.later

    def __enter__(self) -> Installation:
        return self

    def __exit__(self, *error: object) -> None:
        self.database.close()

    def files_left(self) -> list[str]:
        """Everything about uploads that lies in the workspace."""
        room = self.root / "blobs" / "uploads"
        return sorted(path.relative_to(room).as_posix() for path in room.rglob("*") if path.is_file())


def new(contents: dict[str, bytes], *, hashed: bool = True) -> list[NewFile]:
    return [
        NewFile(path=path, size=len(content), sha256=digest(content) if hashed else None)
        for path, content in contents.items()
    ]


def part_of(view: UploadView, contents: dict[str, bytes], number: int) -> bytes:
    found = find_part([file.size for file in view.files], view.part_size, number)
    assert found is not None
    return contents[view.files[found.file].path][found.offset : found.offset + found.size]


def send(
    uploads: Uploads, subject: Subject, view: UploadView, contents: dict[str, bytes], numbers: Iterable[int]
) -> None:
    for number in numbers:
        part = part_of(view, contents, number)
        pieces = (part[at : at + 100_000] for at in range(0, len(part), 100_000))
        done = uploads.put_part(subject, view.id, number, digest(part), pieces)
        assert (done.number, done.size) == (number, len(part))


def send_all(uploads: Uploads, subject: Subject, contents: dict[str, bytes], **more: Any) -> UploadView:
    view = uploads.create(subject, new(contents), **more)
    send(uploads, subject, view, contents, view.missing_numbers())
    return uploads.complete(subject, view.id)
