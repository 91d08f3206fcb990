"""The contents of versions: put into the store when they are registered, held for as long as their rows are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.orm import Session

from mozhu.kernel.errors import MissingFile
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.catalog import rows
from mozhu.platform.catalog.artefacts import MANIFEST
from mozhu.platform.catalog.places import LINKED
from mozhu.platform.storage import rows as contents
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.storage.folders import adopt_file
from mozhu.platform.storage.held import Held
from mozhu.specs.records.manifest import Manifest


def put_contents(store: BlobStore, folder: Path, manifest: Manifest) -> None:
    """Every file of the version in ``folder`` is in the store.

    In a folder store weights are hard links, so that their bytes lie on the disk once; small files are copies, so that
    editing one in the folder changes no content.

    Raises:
        BlobDamaged: STORE-002, a file has changed since it was hashed. DiskFull: FILE-003.
    """
    for file in manifest.files:
        path = folder / file.path
        adopt_file(store, file.sha256, path, link=path.suffix in LINKED)


def record_contents(session: Session, store: BlobStore, folder: Path, manifest: Manifest) -> None:
    """The contents are recorded, in the transaction of the version's row; one that was collected a moment ago is put
    into the store again.
    """
    put_contents(store, folder, manifest)
    found = [(file.sha256, file.size) for file in manifest.files]
    contents.record_blobs(session, found, iso_time(utc_now()))


def held_by_versions(session: Session, models: Path) -> Iterator[Held]:
    """What each registered version needs: by its rows, by its manifest where a release before wrote no rows.

    Raises:
        MissingFile: FILE-001, such a manifest cannot be read; nothing may be collected then.
    """
    for reference, path, file in rows.every_file(session):
        folder = models / path
        if file is not None:
            yield Held(file.sha256, file.size, reference, folder / file.path)
            continue
        if not (folder / MANIFEST).is_file():
            raise MissingFile(path=str(folder / MANIFEST))
        for listed in Manifest.read(folder / MANIFEST).files:
            yield Held(listed.sha256, listed.size, reference, folder / listed.path)
