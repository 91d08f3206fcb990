"""Checkpoints of a run: one that was cut off while being written never counts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mozhu.kernel.files import write_text, writing
from mozhu.kernel.paths import checkpoint_name, checkpoint_step

# Written last; a checkpoint without it was cut off in the middle.
_WHOLE = ".complete"


def mark_complete(checkpoint: Path) -> None:
    write_text(checkpoint / _WHOLE, "")


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
        (path / _WHOLE).unlink()
        shutil.rmtree(path)
        removed.append(path.name)
    return removed


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
