"""The folder in which an artefact of several files is made, and from which a stopped making goes on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from mozhu.engine.export.tally import PROGRESS
from mozhu.kernel.errors import MergeBusy, MozhuError
from mozhu.kernel.files import make_folder


@contextmanager
def staging_folder(target: Path, doing: str) -> Iterator[Path]:
    """A folder beside ``target``, kept where this process is stopped with a shard done, else removed.

    Args:
        doing: ``merging`` or ``converting``; part of its name.

    Raises:
        MergeBusy: EXPORT-030, another process makes the same target.
    """
    staging = make_folder(target.parent / f".{target.name}.{doing}")
    lock = FileLock(f"{staging}.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise MergeBusy(path=str(target)) from error
    try:
        staging.mkdir(exist_ok=True)
        yield staging
    except MozhuError:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    finally:
        if staging.exists() and not (staging / PROGRESS).is_file():
            shutil.rmtree(staging, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()
