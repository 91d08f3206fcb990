"""Writing a model folder shard by shard: the layout of the base is kept, untouched tensors are copied by
the system.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mozhu.engine.export.checkpoint import Shard
from mozhu.engine.weights.headers import TensorInfo
from mozhu.engine.weights.shards import INDEX
from mozhu.kernel.files import read_json, reading, write_json, writing

_COPY_BYTES = 8 << 20


@dataclass(frozen=True)
class Extra:
    """A tensor that the base does not have, written after the others of its shard."""

    name: str
    like: TensorInfo


def write_shard(
    shard: Shard,
    target: Path,
    make: Callable[[str], memoryview | None],
    extras: list[Extra],
    done: Callable[[str], None],
) -> None:
    """Write the shard's tensors to ``target`` in their order.

    ``make`` gives a tensor's new bytes, or None to copy it as it stands. ``done`` is told each name.
    """
    header = shard.header if not extras else _longer_header(shard, extras)
    with (
        reading(shard.path),
        open(shard.path, "rb", buffering=0) as source,
        writing(target),
        open(target, "wb", buffering=0) as file,
    ):
        file.write(struct.pack("<Q", len(header)) + header)
        for entry in shard.entries:
            content = make(entry.name)
            if content is None:
                _copy(source, file, entry)
            else:
                _write(file, content, entry.size_bytes)
            done(entry.name)
        for extra in extras:
            content = make(extra.name)
            if content is None:
                _copy(source, file, extra.like)
            else:
                _write(file, content, extra.like.size_bytes)
            done(extra.name)
        os.fsync(file.fileno())


def write_index(base: Path, target: Path, extras: dict[str, list[Extra]]) -> None:
    """Copy the base's index, with the extra tensors in it; nothing is written where the base has none."""
    if not (base / INDEX).is_file():
        return
    index: dict[str, Any] = read_json(base / INDEX)
    for shard_name, tensors in extras.items():
        for extra in tensors:
            index["weight_map"][extra.name] = shard_name
            if "total_size" in index.get("metadata", {}):
                index["metadata"]["total_size"] += extra.like.size_bytes
    write_json(target / INDEX, index)


def _longer_header(shard: Shard, extras: list[Extra]) -> bytes:
    table = json.loads(shard.header)
    position = shard.entries[-1].end - shard.data_start
    for extra in extras:
        end = position + extra.like.size_bytes
        table[extra.name] = {
            "dtype": extra.like.dtype,
            "shape": list(extra.like.shape),
            "data_offsets": [position, end],
        }
        position = end
    header = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    return header + b" " * (-len(header) % 8)


def _write(file: IO[bytes], content: memoryview, size_bytes: int) -> None:
    assert content.nbytes == size_bytes, "a merged tensor keeps its size"
    done = 0
    while done < size_bytes:
        done += file.write(content[done:]) or 0


def _copy(source: IO[bytes], file: IO[bytes], entry: TensorInfo) -> None:
    """Copy one tensor's bytes without bringing them into this process where the system can do that."""
    position, left = entry.start, entry.size_bytes
    while left:
        try:
            count = os.copy_file_range(source.fileno(), file.fileno(), left, position)
        except (AttributeError, OSError):
            count = 0
        if not count:
            source.seek(position)
            count = file.write(source.read(min(left, _COPY_BYTES))) or 0
            if not count:
                raise OSError(5, f"{entry.path}: ends inside {entry.name}")
        position, left = position + count, left - count
