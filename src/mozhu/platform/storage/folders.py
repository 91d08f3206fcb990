"""Between a store and a folder: hard links where both lie on one file system, else bytes that are checked."""

from __future__ import annotations

import os
from pathlib import Path

from mozhu.kernel.files import make_folder, replacing
from mozhu.platform.storage.blobs import Blob, BlobStore, checked
from mozhu.platform.storage.local import LocalBlobs, read_file


def adopt_file(store: BlobStore, digest: str, path: Path, *, link: bool) -> Blob:
    """The file ``path`` is in the store; with ``link`` a folder store holds the same bytes, not a second copy.

    Raises:
        BlobDamaged: STORE-002, the file has changed since it was hashed.
    """
    if link and isinstance(store, LocalBlobs):
        return store.adopt(digest, path)
    there, size = store.stat(digest), path.stat().st_size
    if there is not None and there.size == size:
        return there
    return store.put(digest, read_file(path), size)


def bring_file(store: BlobStore, digest: str, target: Path, *, link: bool) -> None:
    """The content is the file ``target``, as a hard link with ``link`` where that can be.

    Raises:
        BlobMissing: STORE-001. BlobDamaged: STORE-002. DiskFull: FILE-003.
    """
    make_folder(target.parent)
    if link and isinstance(store, LocalBlobs):
        try:
            os.link(store.path_of(digest), target)
            return
        except OSError:
            pass
    there = store.stat(digest)
    pieces = store.open(digest)
    with replacing(target) as file:
        for piece in checked(pieces, digest, there.size if there else 0, digest):
            file.write(piece)
