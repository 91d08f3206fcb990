"""The tensors of a safetensors model, one at a time, by positioned reads: memory holds one tensor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mozhu.engine.weights.headers import TensorInfo, read_header
from mozhu.kernel.errors import DamagedWeights
from mozhu.kernel.files import reading

# numpy has no bfloat16: its bit patterns come as uint16.
NUMPY_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class Shard:
    """One safetensors file: its header's bytes as they stand and its tensors in the order of their bytes."""

    path: Path
    header: bytes
    entries: tuple[TensorInfo, ...]

    @property
    def data_start(self) -> int:
        return 8 + len(self.header)


class Checkpoint:
    """All tensors of some files."""

    def __init__(self, shards: list[Shard]) -> None:
        self.shards = shards
        self.entries = {entry.name: entry for shard in shards for entry in shard.entries}

    @property
    def size_bytes(self) -> int:
        return sum(entry.size_bytes for entry in self.entries.values())

    def read(self, name: str) -> bytearray:
        """The raw bytes of one tensor, as they stand in the file."""
        entry = self.entries[name]
        content = bytearray(entry.size_bytes)
        with reading(entry.path), open(entry.path, "rb", buffering=0) as file:
            file.seek(entry.start)
            view, done = memoryview(content), 0
            while done < len(content):
                count = file.readinto(view[done:])
                if not count:
                    raise DamagedWeights(path=str(entry.path), problems=f"{name}: {done}/{len(content)} B")
                done += count
        return content

    def array(self, name: str) -> np.ndarray[Any, Any]:
        """One tensor with its shape; bfloat16 comes as ``uint16`` bit patterns."""
        entry = self.entries[name]
        return np.frombuffer(self.read(name), dtype=NUMPY_KINDS[entry.dtype]).reshape(entry.shape)


def open_checkpoint(files: tuple[Path, ...] | list[Path]) -> Checkpoint:
    """The tensors of safetensors files.

    Raises:
        DamagedWeights: MODEL-004.
    """
    return Checkpoint([read_shard(path) for path in files])


def read_shard(path: Path) -> Shard:
    entries = tuple(read_header(path).values())
    with reading(path), open(path, "rb") as file:
        header = file.read(int.from_bytes(file.read(8), "little"))
    return Shard(path, header, entries)
