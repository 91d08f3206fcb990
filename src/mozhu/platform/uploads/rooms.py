"""Where the parts of uploads lie, by where whole files go."""

from __future__ import annotations

from pathlib import Path

from mozhu.kernel.slots import load
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.storage.local import LocalBlobs
from mozhu.platform.uploads.parts import FolderParts, PartRoom

UPLOADS = "uploads"


def part_room(store: BlobStore, models: Path) -> PartRoom:
    """Parts for S3 lie in its bucket, those for a folder below it, on one file system, all others in the workspace."""
    if store.name.startswith("s3://"):
        made: PartRoom = load("mozhu.rooms", "s3_parts")(store)
        return made
    return FolderParts(
        store.root / UPLOADS if isinstance(store, LocalBlobs) else models / f".{UPLOADS}", store
    )
