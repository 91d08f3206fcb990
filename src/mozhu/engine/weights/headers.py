"""The header of a safetensors file, with its faults as lines and its tensors placed in the file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from mozhu.engine.weights.problems import lines, problem
from mozhu.kernel import safetensors
from mozhu.kernel.errors import DamagedWeights

BITS_OF = safetensors.BITS_OF
NAME_OF_DTYPE = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies. ``start`` and ``end`` count bytes from the beginning of ``path``."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    start: int
    end: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int:
        return self.end - self.start


def read_header(path: Path) -> dict[str, TensorInfo]:
    """The tensors of a safetensors file by name, in the order of their bytes.

    Raises:
        MissingFile: FILE-001. DamagedWeights: MODEL-004 with every fault, naming file and tensor.
    """
    tensors, problems = scan_header(path)
    if problems:
        raise DamagedWeights(path=str(path), problems=lines(problems))
    return tensors


def read_metadata(path: Path) -> dict[str, str]:
    """The free ``__metadata__`` of a safetensors file; empty where there is none or no header can be read."""
    return safetensors.read_header(path).metadata


def scan_header(path: Path) -> tuple[dict[str, TensorInfo], list[str]]:
    """Like :func:`read_header`, but the faults come back as lines instead of an error."""
    header = safetensors.read_header(path)
    tensors = {
        name: TensorInfo(
            name,
            entry.dtype,
            entry.shape,
            path,
            header.data_start + entry.begin,
            header.data_start + entry.end,
        )
        for name, entry in header.tensors.items()
    }
    return tensors, [problem(fault.code, file=path.name, **fault.params) for fault in header.problems]
