"""What a safetensors file says about itself, read without loading a tensor.

The layout (https://github.com/huggingface/safetensors): eight bytes little-endian length of the header, the
header as JSON, then the tensors one after the other without gaps.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.kernel.files import reading

MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8
DTYPE_BITS = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}


class BadHeader(ValueError):
    """The file is not whole. ``reason`` is one of ``REASONS``, ``params`` its figures."""

    REASONS = ("short", "header_length", "header_json", "tensor", "offsets", "truncated", "trailing")

    def __init__(self, reason: str, **params: object) -> None:
        self.reason = reason
        self.params = params
        super().__init__(reason, params)


@dataclass(frozen=True)
class TensorEntry:
    """One tensor; ``begin`` and ``end`` count bytes from the first tensor's first byte."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


@dataclass(frozen=True)
class Header:
    """``data_start`` is where the first tensor's bytes begin in the file."""

    tensors: dict[str, TensorEntry]
    metadata: dict[str, str]
    data_start: int


def read_header(path: Path) -> Header:
    """The header of ``path``, held against the size of the file.

    Raises:
        BadHeader: the file is cut off, has bytes too many, or a tensor does not fit its own description.
        MissingFile: FILE-001. NotReadable: FILE-005.
    """
    with reading(path), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < _LENGTH_BYTES:
            raise BadHeader("short", size=size)
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - _LENGTH_BYTES):
            raise BadHeader("header_length", length=length, size=size)
        content = file.read(length)
    entries = _parse(content)
    metadata = entries.pop("__metadata__", {})
    tensors = {name: _entry(name, value) for name, value in entries.items()}
    _check_layout(tensors, size - _LENGTH_BYTES - length)
    return Header(tensors, metadata if isinstance(metadata, dict) else {}, _LENGTH_BYTES + length)


def _parse(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except ValueError as error:
        raise BadHeader("header_json", found=str(error)) from error
    if not isinstance(value, dict):
        raise BadHeader("header_json", found=type(value).__name__)
    return value


def _entry(name: str, value: Any) -> TensorEntry:
    try:
        dtype, shape, (begin, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        bits = DTYPE_BITS[dtype]
        numbers = (*shape, begin, end)
    except (KeyError, TypeError, ValueError) as error:
        raise BadHeader("tensor", tensor=name) from error
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise BadHeader("tensor", tensor=name)
    for length in shape:
        bits *= length
    if bits % 8 or end - begin != bits // 8:
        raise BadHeader("offsets", tensor=name)
    return TensorEntry(dtype, shape, begin, end)


def _check_layout(tensors: dict[str, TensorEntry], data_bytes: int) -> None:
    """Tensors lie end to end from 0 and fill the file exactly."""
    position = 0
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            raise BadHeader("offsets", tensor=name)
        position = entry.end
    if data_bytes < position:
        raise BadHeader("truncated", expected=position, found=data_bytes)
    if data_bytes > position:
        raise BadHeader("trailing", expected=position, found=data_bytes)
