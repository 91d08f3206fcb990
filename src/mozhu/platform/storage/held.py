"""Who needs a content: the question that the collection of garbage and the check of the store ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Held:
    """``holder`` needs the content ``digest`` of ``size`` bytes; ``size`` is ``None`` where it does not know.

    ``path``: where the holder has a file that should be the same.
    """

    digest: str
    size: int | None
    holder: str
    path: Path | None = None


Holders = Callable[[Session], Iterator[Held]]
# Told of the bytes or items that are done, and of how many there are.
Progress = Callable[[int, int], None]


def no_progress(done: int, total: int) -> None:
    """Nobody asked."""
