"""The files of an upload as a run folder that looks at them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mozhu.kernel.files import make_folder
from mozhu.platform.database.engine import Database
from mozhu.platform.imports import rows
from mozhu.platform.imports.views import ImportView
from mozhu.platform.storage.blobs import BlobStore
from mozhu.platform.storage.folders import bring_file
from mozhu.specs.inspect import InspectSpec
from mozhu.workspace.runs import RunFolder, make_run

GIVEN = "given"
# Of these everything that is clean is kept; of a text model what belongs to one.
_WHOLE = ("image", "file")


class Interrupted(Exception):
    """The service stops; what was laid is laid again."""


def lay_out(
    database: Database, store: BlobStore, item: ImportView, folder: Path, stopping: Callable[[], bool]
) -> RunFolder:
    """``folder``, which is not there, holds the files under ``given/`` and the request to look at them.

    Weights and all else are links to the store's own files where that can be: nothing writes to them.

    Raises:
        BlobMissing: STORE-001. BlobDamaged: STORE-002. DiskFull: FILE-003. Interrupted: ``stopping`` said so.
    """
    with database.reading() as session:
        files = rows.plan_of(session, item.upload)
    given = folder / GIVEN
    # A single file may be an archive, which is unpacked; several are a folder.
    path = given / files[0]["path"] if len(files) == 1 else given
    spec = InspectSpec(path=str(path), whole=item.type in _WHOLE, certify=True)
    run = make_run(spec, {}, folder)
    make_folder(given)
    for file in files:
        if stopping():
            raise Interrupted
        bring_file(store, file["sha256"], given / file["path"], link=True)
    return run
