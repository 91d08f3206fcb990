"""Puts several files into a folder that holds other things too: all of them or none."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mozhu.kernel.files import writing


@contextmanager
def swap_in(target: Path, *, last: str) -> Iterator[Path]:
    """An empty folder whose files take their places in ``target`` when the block ends well.

    When anything goes wrong, also on the way, the old files are put back. ``last`` is the file that vouches
    for the others: it is taken away first and put in place last, so that not even a power cut leaves it
    beside files that it does not describe. Files whose bytes are the same are left alone.
    """
    staging = target / f".new.{os.getpid()}"
    aside = target / f".old.{os.getpid()}"
    with writing(target):
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            yield staging
            _put_in_place(staging, aside, target, last)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            shutil.rmtree(aside, ignore_errors=True)


def _put_in_place(staging: Path, aside: Path, target: Path, last: str) -> None:
    names = [path.name for path in staging.iterdir() if not _same_bytes(path, target / path.name)]
    if not names:
        return
    aside.mkdir(exist_ok=True)
    order = sorted({*names, last}, key=lambda name: (name == last, name))
    moved: list[str] = []
    try:
        for name in [last, *order[:-1]]:
            if (target / name).exists():
                os.replace(target / name, aside / name)
                moved.append(name)
        for name in order:
            os.replace(staging / name, target / name)
    except BaseException:
        for name in names:
            if name not in moved and not (staging / name).exists():
                (target / name).unlink(missing_ok=True)
        for name in moved:
            os.replace(aside / name, target / name)
        raise


def _same_bytes(new: Path, old: Path) -> bool:
    if not old.is_file() or new.stat().st_size != old.stat().st_size:
        return False
    return filecmp.cmp(new, old, shallow=False)
