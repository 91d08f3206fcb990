"""The parts of a data set, each as a stream of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mozhu.engine.data.dataset import Reading, RowStream
from mozhu.engine.data.places import find_place
from mozhu.engine.data.split import PARTS
from mozhu.kernel.errors import MissingFile, UnknownDataset


def part_streams(ref: str, reading: Reading) -> Iterator[tuple[str, RowStream]]:
    """(part, rows) of each part that ``ref`` has; of a data set without parts, all as ``train``.

    Raises:
        What :func:`~mozhu.engine.data.places.find_place` raises for the first part.
    """
    seen: set[Path] = set()
    for part in PARTS:
        try:
            place = find_place(ref, part)
        except (MissingFile, UnknownDataset):
            if part == PARTS[0]:
                raise
            continue
        files = {file.path for file in place.files}
        if not files & seen:
            seen |= files
            yield part, RowStream(place, reading)
