"""The weights of a merged or converted model, shard by shard with bounded memory; a killed merge goes on where it was.

Finished shards lie in the staging folder with what is known of them in ``merging.json``. A later merge of the same
inputs into the same target hashes them again and takes those that are whole.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from mozhu.engine.export.edits import DTYPES, LEAST_ROWS, SCRATCH, Edit, cut_evenly, in_float32
from mozhu.engine.export.open_edits import open_edit
from mozhu.engine.export.shards import (
    NewShard,
    Piece,
    Place,
    copy_piece,
    read_into,
    write_at,
    write_shard,
)
from mozhu.engine.export.steps import Steps
from mozhu.engine.export.tally import PROGRESS, ShardTally, Tally, Work
from mozhu.engine.weights.headers import TensorInfo
from mozhu.kernel.errors import MozhuError, NotConvertible
from mozhu.kernel.files import read_json, reading, sha256_file, write_json
from mozhu.kernel.machine import free_core_count
from mozhu.kernel.texts import text

# What one block costs at most: its bytes as read and as written, and twice its values in float32.
_BYTES_A_VALUE = 16
_MOST_VALUES = 1 << 18
# Blocks that a thread takes at once: handing over costs as much as a small block.
_BLOCKS_A_PIECE = 8
_PIECES_A_THREAD = 2


def write_weights(work: Work, folder: Path, steps: Steps) -> Tally:
    """Every shard in ``folder``; those that an earlier, killed merge of the same inputs finished are taken as they are.

    Raises:
        DamagedWeights: MODEL-004. DiskFull: FILE-003.
    """
    tally = _finished(work, folder)
    tally.reused = len(tally.shards)
    if tally.reused:
        _remember(work, folder, tally)
    before, threads = torch.get_num_threads(), free_core_count()
    torch.set_num_threads(1)  # the pieces are the threads' work, not parts of one product
    pool = ThreadPoolExecutor(threads, thread_name_prefix="merge")
    try:
        for shard in work.shards:
            if shard.name in tally.shards:
                for place in shard.places:
                    steps.done(place.tensor.name, place.tensor.size_bytes)
                continue
            tally.shards[shard.name] = _write(work, shard, folder, steps, pool, threads)
            _remember(work, folder, tally)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
    return tally


def _write(
    work: Work, shard: NewShard, folder: Path, steps: Steps, pool: ThreadPoolExecutor, threads: int
) -> ShardTally:
    counts = {place.tensor.name: _Count() for place in shard.places if place.tensor.name in work.changes}
    sizes = {place.tensor.name: place.tensor.size_bytes for place in shard.places}
    left = dict(sizes)

    def done(piece: Piece) -> None:
        left[piece.tensor] -= piece.end - piece.start
        if not left[piece.tensor]:
            steps.done(piece.tensor, sizes[piece.tensor])

    pieces = _pieces(work, shard, counts, threads)
    waiting = threads * _PIECES_A_THREAD
    sha256 = write_shard(shard, folder / shard.name, pieces, pool, done, waiting=waiting)
    return ShardTally(
        sha256,
        {name: count.effect for name, count in counts.items()},
        [name for name, count in counts.items() if count.changed],
    )


def _pieces(work: Work, shard: NewShard, counts: dict[str, _Count], threads: int) -> Iterator[Piece]:
    for place in shard.places:
        source = work.sources[place.tensor.name]
        changes = work.changes.get(place.tensor.name)
        if not place.tensor.size_bytes:
            continue
        if changes is None and place.tensor.dtype != source.dtype:
            yield from _casts(place, source)
            continue
        if changes is None:
            yield copy_piece(place, source)
            continue
        edit = open_edit(changes, source, work.budget_bytes)
        count = counts[place.tensor.name]
        count.added = edit.added
        values = min(_MOST_VALUES, work.budget_bytes // (threads * _PIECES_A_THREAD * _BYTES_A_VALUE))
        yield from _blocks(place, source, edit, count, values)


def _blocks(place: Place, source: TensorInfo, edit: Edit, count: _Count, most_values: int) -> Iterator[Piece]:
    shape = source.shape or (1,)
    rows = shape[0] * (shape[1] if edit.period and len(shape) == 3 else 1)
    columns = source.count // rows
    width = source.size_bytes // rows
    period = edit.period or rows
    step = max(LEAST_ROWS, most_values // columns)
    for border in range(0, rows, period):
        for first, last in cut_evenly(border, border + period, step * _BLOCKS_A_PIECE):
            yield Piece(
                place.tensor.name,
                place.start + first * width,
                place.start + last * width,
                _Rows(place, source, edit, count, first, last, step, columns),
            )


def _casts(place: Place, source: TensorInfo) -> Iterator[Piece]:
    width = place.tensor.size_bytes // source.count
    for first in range(0, source.count, _MOST_VALUES):
        last = min(first + _MOST_VALUES, source.count)
        cast = _Cast(place, source, first, last)
        yield Piece(place.tensor.name, place.start + first * width, place.start + last * width, cast)


@dataclass(frozen=True)
class _Cast:
    """Values ``first`` to ``last`` of a tensor in another type of numbers, each rounded to the nearest."""

    place: Place
    source: TensorInfo
    first: int
    last: int

    def __call__(self, file: int) -> None:
        count = self.last - self.first
        old = SCRATCH.tensor("read", (count,), DTYPES[self.source.dtype])
        with reading(self.source.path), open(self.source.path, "rb", buffering=0) as opened:
            at = self.source.start + self.first * old.element_size()
            read_into(opened.fileno(), _bytes_of(old), at, self.source)
        new = SCRATCH.tensor("new", (count,), DTYPES[self.place.tensor.dtype]).copy_(old)
        if bool((torch.isfinite(old) & ~torch.isfinite(new)).any()):
            largest = float(old[torch.isfinite(old)].abs().max())
            raise NotConvertible(
                path=str(self.source.path),
                reason=text("export.reason.overflow", tensor=self.source.name, value=f"{largest:.4g}"),
            )
        write_at(file, _bytes_of(new), self.place.start + self.first * new.element_size())


@dataclass(frozen=True)
class _Rows:
    """Rows ``first`` to ``last`` of a tensor, ``step`` at a time: read, changed, rounded, written."""

    place: Place
    source: TensorInfo
    edit: Edit
    count: _Count
    first: int
    last: int
    step: int
    columns: int

    def __call__(self, file: int) -> None:
        with reading(self.source.path), open(self.source.path, "rb", buffering=0) as opened:
            for first, last in cut_evenly(self.first, self.last, self.step):
                self._block(opened.fileno(), file, first, last)

    def _block(self, base: int, file: int, first: int, last: int) -> None:
        shape = (last - first, self.columns)
        old = SCRATCH.tensor("read", shape, DTYPES[self.source.dtype])
        before = first * self.columns * old.element_size()
        read_into(base, _bytes_of(old), self.source.start + before, self.source)
        SCRATCH.forget("old")
        values = self.edit.block(old, first)
        if values.dtype == old.dtype and values.is_contiguous():
            new = values
        else:
            new = SCRATCH.tensor("new", shape, old.dtype).copy_(values)
        self.count.add(old, new)
        write_at(file, _bytes_of(new), self.place.start + before)


class _Count:
    """The lengths of a tensor and of what was added to it, and whether any stored value differs."""

    def __init__(self) -> None:
        self.added: float | None = None
        self.changed = False
        # Summed at the end and exactly, so that the order in which threads end does not show.
        self._old: list[float] = []
        self._difference: list[float] = []
        self._lock = threading.Lock()

    def add(self, old: torch.Tensor, new: torch.Tensor) -> None:
        before = in_float32(old).view(-1)
        squared = float(torch.dot(before, before))
        changed = self.changed or not torch.equal(old, new)
        difference = 0.0
        if changed and self.added is None:
            apart = SCRATCH.tensor("apart", new.shape).copy_(new).view(-1).sub_(before)
            difference = float(torch.dot(apart, apart))
        with self._lock:
            self._old.append(squared)
            self._difference.append(difference)
            self.changed = changed or self.changed

    @property
    def effect(self) -> float:
        if not self.changed:
            return 0.0
        length = math.fsum(self._old) ** 0.5
        added = math.fsum(self._difference) ** 0.5 if self.added is None else self.added
        return added / length if length else float("inf")


def _bytes_of(tensor: torch.Tensor) -> memoryview:
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]


def _finished(work: Work, folder: Path) -> Tally:
    """What an earlier merge of the same inputs left whole; everything else in ``folder`` is gone."""
    told: dict[str, Any] = {}
    with suppress(MozhuError):
        record = read_json(folder / PROGRESS)
        told = record["shards"] if record.get("identity") == work.identity else {}
    kept: dict[str, ShardTally] = {}
    for shard in work.shards:
        path, known = folder / shard.name, told.get(shard.name)
        if known and path.is_file() and sha256_file(path) == known["sha256"]:
            kept[shard.name] = ShardTally(**known)
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    return Tally(kept)


def _remember(work: Work, folder: Path, tally: Tally) -> None:
    shards = {name: asdict(shard) for name, shard in tally.shards.items()}
    write_json(folder / PROGRESS, {"identity": work.identity, "shards": shards}, indent=None)
