"""What a safetensors file says about itself, read and checked without loading a tensor.

The layout (https://github.com/huggingface/safetensors): eight bytes little-endian length of the header, the
header as JSON, then the tensors' bytes without gaps or overlaps up to the end of the file.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozhu.kernel.files import reading

HEADER_LIMIT_BYTES = 100_000_000  # the reference reader's own limit
_LENGTH_BYTES = 8
_MOST_SIDES, _LARGEST = 64, (1 << 63) - 1
# Bits of one element by safetensors' name of the type.
BITS_OF = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
# What can be wrong with a file; whoever shows it has words for each.
CODES = (
    "no_header",
    "header_length",
    "header_json",
    "metadata",
    "tensor_entry",
    "tensor_dtype",
    "tensor_range",
    "tensor_size",
    "tensor_overlap",
    "tensor_gap",
    "bytes_left",
)


@dataclass(frozen=True)
class HeaderProblem:
    """One fault: ``code`` is one of :data:`CODES`, ``params`` the tensor and the figures."""

    code: str
    params: dict[str, Any]


@dataclass(frozen=True)
class TensorEntry:
    """One tensor; ``begin`` and ``end`` count bytes from the first tensor's first byte."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """``tensors`` are the sound ones, in the order of their bytes; ``data_start`` is where the bytes begin.

    With ``problems`` the file is not to be loaded.
    """

    tensors: dict[str, TensorEntry] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    data_start: int = 0
    problems: tuple[HeaderProblem, ...] = ()


def read_header(path: Path) -> Header:
    """The header of ``path``, held against the size of the file, with every fault.

    Raises:
        MissingFile: FILE-001. NotReadable: FILE-005.
    """
    with reading(path), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(_LENGTH_BYTES)
        if len(first) < _LENGTH_BYTES:
            return _refused("no_header", size=size)
        length = int.from_bytes(first, "little")
        if not 2 <= length <= min(HEADER_LIMIT_BYTES, size - _LENGTH_BYTES):
            return _refused("header_length", length=length, size=size)
        content = file.read(length)
    try:
        if not content.startswith(b"{"):
            raise ValueError("does not begin with {")
        # As text: json would take bytes for UTF-16 too, which no other reader does.
        table = json.loads(
            content.decode("utf-8"), object_pairs_hook=_no_doubles, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        return _refused("header_json", found=str(error))
    return _checked(table, _LENGTH_BYTES + length, size)


def _refused(code: str, **params: Any) -> Header:
    return Header(problems=(HeaderProblem(code, params),))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"doubled key {name!r}")
        values[name] = value
    return values


def _checked(table: dict[str, Any], data_start: int, size: int) -> Header:
    metadata = table.pop("__metadata__", None)
    metadata = {} if metadata is None else metadata
    told = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    problems = [] if told else [HeaderProblem("metadata", {})]
    tensors: dict[str, TensorEntry] = {}
    for name, entry in table.items():
        found = _entry(name, entry, size - data_start)
        if isinstance(found, HeaderProblem):
            problems.append(found)
        else:
            tensors[name] = found
    tensors = dict(sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)))
    all_known = len(tensors) == len(table)
    problems += _layout_problems(tensors, size - data_start, all_known=all_known)
    return Header(tensors, metadata if told else {}, data_start, tuple(problems))


def _entry(name: str, entry: Any, data_bytes: int) -> TensorEntry | HeaderProblem:
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        return HeaderProblem("tensor_entry", {"tensor": name})
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS_OF:
        return HeaderProblem("tensor_dtype", {"tensor": name, "dtype": dtype})
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        return HeaderProblem("tensor_entry", {"tensor": name})
    if len(shape) > _MOST_SIDES or any(side > _LARGEST for side in (*shape, *offsets)):
        return HeaderProblem("tensor_entry", {"tensor": name})
    begin, end = offsets
    if end > data_bytes:
        place = {"start": begin, "end": end, "data": data_bytes}
        return HeaderProblem("tensor_range", {"tensor": name, **place})
    bits = math.prod(shape) * BITS_OF[dtype]
    if bits != (end - begin) * 8:
        sizes = {"bytes": end - begin, "expected": -(-bits // 8), "dtype": dtype, "shape": shape}
        return HeaderProblem("tensor_size", {"tensor": name, **sizes})
    return TensorEntry(dtype, tuple(shape), begin, end)


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= 0 for value in values)


def _layout_problems(
    tensors: dict[str, TensorEntry], data_bytes: int, *, all_known: bool
) -> list[HeaderProblem]:
    """Overlaps; where all tensors are known also gaps and bytes after the last one."""
    problems = []
    position = 0
    for name, entry in tensors.items():
        if entry.begin < position:
            problems.append(HeaderProblem("tensor_overlap", {"tensor": name}))
        elif entry.begin > position and all_known:
            gap = {"tensor": name, "bytes": entry.begin - position}
            problems.append(HeaderProblem("tensor_gap", gap))
        position = max(position, entry.end)
    if all_known and position < data_bytes:
        problems.append(HeaderProblem("bytes_left", {"bytes": data_bytes - position}))
    return problems
