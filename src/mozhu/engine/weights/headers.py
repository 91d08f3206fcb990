"""The header of a safetensors file, read and checked without torch and without touching the weights.

Layout (safetensors format 1.0): eight bytes little-endian length of the header, the header as JSON, then the
tensors' bytes without gaps or overlaps up to the end of the file.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.weights.problems import lines, problem
from mozhu.kernel.errors import DamagedWeights
from mozhu.kernel.files import reading

# Bits of one element by safetensors' name of the type.
BITS_OF = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "U16": 16,
    "I16": 16,
    "U32": 32,
    "I32": 32,
    "U64": 64,
    "I64": 64,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F16": 16,
    "BF16": 16,
    "F32": 32,
    "F64": 64,
    "C64": 64,
}
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
HEADER_LIMIT_BYTES = 100_000_000  # the reference reader's own limit


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
    """The free ``__metadata__`` of a safetensors file; empty where there is none or the file is damaged."""
    header, _, _ = _read_json(path)
    found = header.get("__metadata__") if header else None
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def scan_header(path: Path) -> tuple[dict[str, TensorInfo], list[str]]:
    """Like :func:`read_header`, but the faults come back as lines instead of an error."""
    header, data_start, fault = _read_json(path)
    if header is None:
        return {}, [fault]
    with reading(path):
        data_bytes = path.stat().st_size - data_start
    tensors: list[TensorInfo] = []
    problems: list[str] = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        info, wrong = _entry(path, name, entry, data_start, data_bytes)
        problems += wrong
        if info is not None:
            tensors.append(info)
    tensors.sort(key=lambda info: (info.start, info.end))
    if not problems:
        problems = _layout_problems(path, tensors, data_start, data_bytes)
    return {info.name: info for info in tensors}, problems


def _read_json(path: Path) -> tuple[dict[str, Any] | None, int, str]:
    """The header, where the data begins, and the fault when there is no header to read."""
    with reading(path), open(path, "rb") as file:
        size = path.stat().st_size
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8:
            return None, 0, problem("no_header", file=path.name, size=size)
        if length < 2 or length > HEADER_LIMIT_BYTES or 8 + length > size:
            return None, 0, problem("header_length", file=path.name, length=length, size=size)
        content = file.read(length)
    try:
        header = json.loads(content, object_pairs_hook=_no_doubles)
    except ValueError as error:
        return None, 0, problem("header_json", file=path.name, reason=str(error))
    if not isinstance(header, dict):
        return None, 0, problem("header_json", file=path.name, reason=type(header).__name__)
    return header, 8 + length, ""


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"doubled key {next(name for name in names if names.count(name) > 1)!r}")
    return values


def _entry(
    path: Path, name: str, entry: Any, data_start: int, data_bytes: int
) -> tuple[TensorInfo | None, list[str]]:
    place = {"file": path.name, "tensor": name}
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        return None, [problem("tensor_entry", **place)]
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in BITS_OF:
        return None, [problem("tensor_dtype", dtype=dtype, **place)]
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        return None, [problem("tensor_entry", **place)]
    start, end = offsets
    if start > end or end > data_bytes:
        return None, [problem("tensor_range", start=start, end=end, data=data_bytes, **place)]
    bits = math.prod(shape) * BITS_OF[dtype]
    if bits != (end - start) * 8:
        return None, [
            problem(
                "tensor_size", bytes=end - start, expected=-(-bits // 8), dtype=dtype, shape=shape, **place
            )
        ]
    return TensorInfo(name, dtype, tuple(shape), path, data_start + start, data_start + end), []


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _layout_problems(path: Path, tensors: list[TensorInfo], data_start: int, data_bytes: int) -> list[str]:
    """Gaps, overlaps and bytes after the last tensor; ``tensors`` are in the order of their bytes."""
    problems = []
    place = data_start
    for info in tensors:
        if info.start < place:
            problems.append(problem("tensor_overlap", file=path.name, tensor=info.name))
        elif info.start > place:
            problems.append(problem("tensor_gap", file=path.name, tensor=info.name, bytes=info.start - place))
        place = max(place, info.end)
    rest = data_start + data_bytes - place
    if rest:
        problems.append(problem("bytes_left", file=path.name, bytes=rest))
    return problems
