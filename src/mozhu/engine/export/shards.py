"""The files of a new checkpoint: which tensor lies where, and writing them in pieces that any thread may write.

A new file is laid out before its first byte is written, so pieces go to their place in any order. Untouched
tensors are copied by the system. What is finished is hashed meanwhile, while it is still in memory.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.export.checkpoint import Shard
from mozhu.engine.weights.headers import BITS_OF, TensorInfo
from mozhu.engine.weights.shards import SINGLE
from mozhu.kernel.errors import DamagedWeights
from mozhu.kernel.files import reading, writing

_COPY_BYTES = 8 << 20
_HASH_BYTES = 1 << 20
_FLUSH_BYTES = 32 << 20
_METADATA = "__metadata__"


@dataclass(frozen=True)
class NewTensor:
    """What a tensor of the new checkpoint will be."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        count = 1
        for side in self.shape:
            count *= side
        return count * BITS_OF[self.dtype] // 8


@dataclass(frozen=True)
class Place:
    """A tensor of a new file; ``start`` counts bytes from the beginning of the file."""

    tensor: NewTensor
    start: int

    @property
    def end(self) -> int:
        return self.start + self.tensor.size_bytes


@dataclass(frozen=True)
class NewShard:
    """One file of a new checkpoint: its name, its header's bytes and its tensors in the order of their bytes."""

    name: str
    header: bytes
    places: tuple[Place, ...]

    @property
    def size_bytes(self) -> int:
        return self.places[-1].end if self.places else 8 + len(self.header)


@dataclass(frozen=True)
class Piece:
    """Bytes ``start`` to ``end`` of a new file; ``write`` puts them there, given the open file's number."""

    tensor: str
    start: int
    end: int
    write: Callable[[int], None]


def same_shard(shard: Shard, tensors: list[NewTensor]) -> NewShard:
    """The file of ``shard`` anew: its metadata, its order, and its very header where no tensor differs."""
    table = json.loads(shard.header)
    old = [(e.name, e.dtype, e.shape) for e in shard.entries]
    if old == [(t.name, t.dtype, t.shape) for t in tensors]:
        places = (Place(tensor, entry.start) for tensor, entry in zip(tensors, shard.entries, strict=True))
        return NewShard(shard.path.name, shard.header, tuple(places))
    return _laid_out(shard.path.name, tensors, table.get(_METADATA))


def cut_shards(tensors: Iterable[NewTensor], limit_bytes: int, metadata: dict[str, str]) -> list[NewShard]:
    """``tensors`` in their order in files of at most ``limit_bytes`` of tensors; a larger one has a file of its own.

    The files are named and filled as by ``save_pretrained(max_shard_size=…)``.
    """
    files: list[list[NewTensor]] = []
    open_file: list[NewTensor] = []
    size = 0
    for tensor in tensors:
        if tensor.size_bytes > limit_bytes:
            files.append([tensor])
            continue
        if open_file and size + tensor.size_bytes > limit_bytes:
            files.append(open_file)
            open_file, size = [], 0
        open_file.append(tensor)
        size += tensor.size_bytes
    if open_file:
        files.append(open_file)
    if len(files) == 1:
        return [_laid_out(SINGLE, files[0], metadata)]
    stem = SINGLE.removesuffix(".safetensors")
    return [
        _laid_out(f"{stem}-{number:05d}-of-{len(files):05d}.safetensors", group, metadata)
        for number, group in enumerate(files, start=1)
    ]


def index_of(shards: list[NewShard], metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    """The index of a checkpoint of several files; ``metadata`` is what the old one said beside the size."""
    weight_map = {place.tensor.name: shard.name for shard in shards for place in shard.places}
    total = sum(place.tensor.size_bytes for shard in shards for place in shard.places)
    told = {**(metadata or {}), "total_size": total}
    return {"metadata": told, "weight_map": dict(sorted(weight_map.items()))}


def write_shard(
    shard: NewShard,
    target: Path,
    pieces: Iterable[Piece],
    pool: ThreadPoolExecutor,
    done: Callable[[Piece], None],
    *,
    waiting: int = 4,
) -> str:
    """Write the file whole or not at all; its ``sha256:<hex>``.

    ``pieces`` come in the order of their bytes and cover all of them; at most ``waiting`` are in work at once.
    ``done`` is told of each, here in this thread. A piece's own error ends the writing.
    """
    making = target.with_name(f"{target.name}.part")
    with writing(target), _opened(making) as file:
        os.write(file, struct.pack("<Q", len(shard.header)) + shard.header)
        _reserve(file, shard.size_bytes)
        with _Follower(file, shard.size_bytes) as follower:
            _work_off(file, pieces, pool, done, follower, waiting)
        os.fsync(file)
    os.replace(making, target)
    return follower.sha256


def copy_piece(place: Place, source: TensorInfo) -> Piece:
    """The tensor ``source`` as it stands, brought to its place by the system."""
    return Piece(place.tensor.name, place.start, place.end, lambda file: _copy(source, file, place.start))


def read_into(file: int, content: memoryview, position: int, source: TensorInfo) -> None:
    """Fill ``content`` with what stands at ``position`` of the open file.

    Raises:
        DamagedWeights: MODEL-004, the file ends before.
    """
    while len(content):
        count = os.preadv(file, [content], position)
        if not count:
            raise DamagedWeights(path=str(source.path), problems=f"{source.name}: {len(content)} B")
        content, position = content[count:], position + count


def write_at(file: int, content: memoryview, position: int) -> None:
    """Put ``content`` at ``position`` of the open file."""
    while len(content):
        count = os.pwrite(file, content, position)
        content, position = content[count:], position + count


def _laid_out(name: str, tensors: list[NewTensor], metadata: Any) -> NewShard:
    table: dict[str, Any] = {} if metadata is None else {_METADATA: metadata}
    offset = 0
    for tensor in tensors:
        end = offset + tensor.size_bytes
        table[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    content = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    header = content + b" " * (-len(content) % 8)
    places, position = [], 8 + len(header)
    for tensor in tensors:
        places.append(Place(tensor, position))
        position = places[-1].end
    return NewShard(name, header, tuple(places))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        yield file
    finally:
        os.close(file)


def _work_off(
    file: int,
    pieces: Iterable[Piece],
    pool: ThreadPoolExecutor,
    done: Callable[[Piece], None],
    follower: _Follower,
    waiting: int,
) -> None:
    pending: dict[Future[None], Piece] = {}

    def finish(*, at_most: int) -> None:
        while len(pending) > at_most:
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                piece = pending.pop(future)
                future.result()
                done(piece)
            if pending:
                follower.reach(min(piece.start for piece in pending.values()))

    try:
        for piece in pieces:
            pending[pool.submit(piece.write, file)] = piece
            finish(at_most=waiting - 1)
        finish(at_most=0)
        follower.reach(follower.size_bytes)
    finally:
        for future in pending:
            future.cancel()
        wait(pending)


class _Follower(threading.Thread):
    """Hashes a file while it is written, always behind what is finished."""

    def __init__(self, file: int, size_bytes: int) -> None:
        super().__init__(daemon=True)
        self.size_bytes = size_bytes
        self._file = file
        self._digest = hashlib.sha256()
        self._reached = 0
        self._stopped = False
        self._changed = threading.Condition()

    @property
    def sha256(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"

    def reach(self, position: int) -> None:
        with self._changed:
            self._reached = max(self._reached, position)
            self._changed.notify()

    def run(self) -> None:
        buffer, position, flushed = memoryview(bytearray(_HASH_BYTES)), 0, 0
        while position < self.size_bytes:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped or self._reached > position)  # noqa: B023
                if self._stopped:
                    return
                reached = self._reached
            while position < reached:
                count = os.preadv(self._file, [buffer[: reached - position]], position)
                if not count:
                    return
                self._digest.update(buffer[:count])
                position += count
                if position - flushed >= _FLUSH_BYTES or position == self.size_bytes:
                    _begin_flush(self._file, flushed, position)
                    flushed = position

    def __enter__(self) -> _Follower:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            with self._changed:
                self._stopped = True
                self._changed.notify()
        self.join()


def _reserve(file: int, size_bytes: int) -> None:
    """The file has its length, and its place on the disk where the system gives one: writing is cheaper then."""
    try:
        os.posix_fallocate(file, 0, size_bytes)
    except (AttributeError, OSError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.truncate(file, size_bytes)


def _begin_flush(file: int, start: int, end: int) -> None:
    """Let the system bring these bytes to the disk already now, so that little is left to wait for at the end."""
    with suppress(AttributeError, OSError):
        os.posix_fadvise(file, start, end - start, os.POSIX_FADV_DONTNEED)


def _copy(source: TensorInfo, file: int, position: int) -> None:
    """Copy one tensor's bytes without bringing them into this process where the system can do that."""
    with reading(source.path), open(source.path, "rb", buffering=0) as opened:
        at, left = source.start, source.size_bytes
        while left:
            try:
                count = os.copy_file_range(opened.fileno(), file, min(left, 1 << 30), at, position)
            except (AttributeError, OSError):
                count = 0
            if not count:
                content = memoryview(bytearray(min(left, _COPY_BYTES)))
                read_into(opened.fileno(), content, at, source)
                write_at(file, content, position)
                count = len(content)
            at, position, left = at + count, position + count, left - count
