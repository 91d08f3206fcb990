"""Checkpoints of a run: one that was cut off while being written never counts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json, sha256_file, write_json, writing
from mozhu.kernel.paths import checkpoint_name, checkpoint_step
from mozhu.kernel.progress import Emit

# Written last; a checkpoint without it was cut off in the middle. It lists the files, with size and hash.
_WHOLE = ".complete"
_HASHED_BYTES = (
    64 << 20
)  # larger files are known by their size: reading them again would cost more than it finds


def mark_complete(checkpoint: Path) -> None:
    """The checkpoint counts from here on; all of it is on the disk, not only in the system's memory."""
    found = {}
    for path in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
        with writing(path), open(path, "rb+") as file:
            os.fsync(file.fileno())
        found[path.relative_to(checkpoint).as_posix()] = _facts(path)
    write_json(checkpoint / _WHOLE, {"schema": 1, "files": found})


def is_whole(checkpoint: Path) -> bool:
    """Whether the checkpoint is there with all its files as they were written."""
    return (checkpoint / _WHOLE).is_file() and not checkpoint_damage(checkpoint)


def checkpoint_damage(checkpoint: Path) -> list[str]:
    """The files of a whole checkpoint that are missing or no longer what was written."""
    if not (checkpoint / _WHOLE).stat().st_size:
        return []  # marked by an engine that leaves no list
    try:
        listed: dict[str, Any] = dict(read_json(checkpoint / _WHOLE)["files"])
    except (MozhuError, KeyError, TypeError, ValueError):
        return [_WHOLE]
    return [
        name
        for name, facts in listed.items()
        if not (checkpoint / name).is_file() or _facts(checkpoint / name) != facts
    ]


def resume_point(folder: Path, emit: Emit) -> Path | None:
    """The newest checkpoint that can be trusted, or ``None``; cut-off and damaged ones are removed, the latter told."""
    remove_incomplete(folder)
    while (found := last_checkpoint(folder)) is not None:
        damaged = checkpoint_damage(found)
        if not damaged:
            return found
        emit("finding", level="warning", code="TRAIN-090", params={"path": str(found), "files": damaged})
        _remove(found)
    return None


def _facts(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    return {"size": size, "sha256": sha256_file(path) if size <= _HASHED_BYTES else None}


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint of a run, or ``None``."""
    whole = [path for path in _checkpoints(folder) if (path / _WHOLE).exists()]
    return max(whole, key=_step, default=None)


def remove_incomplete(folder: Path) -> list[str]:
    """Remove checkpoints that were cut off in the middle of a write; returns their names."""
    removed = []
    for path in _checkpoints(folder):
        if not (path / _WHOLE).exists():
            shutil.rmtree(path)
            removed.append(path.name)
    return removed


def remove_oldest(folder: Path, kept: int, *, spare: int | None = None) -> list[str]:
    """At most ``kept`` whole checkpoints stay, the newest ones and the one of step ``spare``; returns what went.

    A checkpoint stops counting before its files are removed, so that a kill in between leaves none in pieces.
    """
    whole = sorted((path for path in _checkpoints(folder) if (path / _WHOLE).exists()), key=_step)
    older = [path for path in whole[:-1] if _step(path) != spare]
    removed = []
    for path in older[: max(0, len(whole) - max(1, kept))]:
        _remove(path)
        removed.append(path.name)
    return removed


def _remove(checkpoint: Path) -> None:
    with writing(checkpoint):
        (checkpoint / _WHOLE).unlink()
        shutil.rmtree(checkpoint)


def link_final(folder: Path, artefact: Path) -> None:
    """``checkpoint-final`` is a link to what the run made."""
    link = folder / checkpoint_name(None)
    with writing(link):
        link.unlink(missing_ok=True)
        os.symlink(artefact.name, link, target_is_directory=True)


def _checkpoints(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.glob("checkpoint-*")
        if path.is_dir() and checkpoint_step(path.name) is not None
    ]


def _step(path: Path) -> int:
    return checkpoint_step(path.name) or 0
