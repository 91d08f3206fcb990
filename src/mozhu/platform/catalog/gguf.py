"""What a GGUF file says about itself, read without loading a tensor.

Specification: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Versions 2 and 3, little-endian.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mozhu.kernel.files import reading

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_ENTRIES = 1_000_000
_LONGEST_STRING = 64 << 20
_DEFAULT_ALIGNMENT = 32
# Struct format by the number of a metadata value's type; 8 is a string, 9 an array.
_SCALARS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    7: "<?",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_STRING, _ARRAY = 8, 9
# (values in a block, bytes of a block) by the number of a tensor's type.
# fmt: off
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110),
    22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}
# fmt: on


class BadGguf(ValueError):
    """The file is not whole. ``reason`` is one of ``REASONS``, ``params`` its figures."""

    REASONS = ("magic", "version", "header", "truncated")

    def __init__(self, reason: str, **params: object) -> None:
        self.reason = reason
        self.params = params
        super().__init__(reason, params)


@dataclass(frozen=True)
class GgufHeader:
    """``metadata`` holds the scalar and string values; of arrays only their length."""

    version: int
    metadata: dict[str, Any]
    tensor_count: int


def read_gguf(path: Path) -> GgufHeader:
    """The header of ``path``, held against the size of the file.

    Raises:
        BadGguf: not a GGUF file, an unknown version, a damaged header, or fewer bytes than its tensors need.
        MissingFile: FILE-001. NotReadable: FILE-005.
    """
    with reading(path), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(4) != MAGIC:
            raise BadGguf("magic")
        try:
            return _read(file, size)
        except (struct.error, UnicodeDecodeError, KeyError, OverflowError, MemoryError) as error:
            raise BadGguf("header", size=size) from error


def _read(file: BinaryIO, size: int) -> GgufHeader:
    version = _number(file, "<I")
    if version not in _VERSIONS:
        raise BadGguf("version", version=version)
    tensor_count, entry_count = _number(file, "<Q"), _number(file, "<Q")
    if max(tensor_count, entry_count) > _MOST_ENTRIES:
        raise BadGguf("header", size=size)
    metadata = {_string(file): _value(file, _number(file, "<I")) for _ in range(entry_count)}
    ends = [_tensor_end(file) for _ in range(tensor_count)]
    alignment = int(metadata.get("general.alignment", _DEFAULT_ALIGNMENT)) or _DEFAULT_ALIGNMENT
    data_start = -(-file.tell() // alignment) * alignment
    needed = data_start + max(ends) if ends else file.tell()
    if size < needed:
        raise BadGguf("truncated", expected=needed, found=size)
    return GgufHeader(version, metadata, tensor_count)


def _tensor_end(file: BinaryIO) -> int:
    """Where a tensor's bytes end, counted from the first tensor."""
    _string(file)
    shape = [_number(file, "<Q") for _ in range(_number(file, "<I"))]
    values, block_bytes = _BLOCKS.get(_number(file, "<I"), (1, 0))
    offset = _number(file, "<Q")
    count = 1
    for length in shape:
        count *= length
    return int(offset + count // values * block_bytes)


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        return _number(file, _SCALARS[kind])
    inner, length = _number(file, "<I"), _number(file, "<Q")
    if inner in _SCALARS:
        _skip(file, struct.calcsize(_SCALARS[inner]) * length)
    else:
        if length > _MOST_ENTRIES * 10:
            raise OverflowError
        for _ in range(length):
            _value(file, inner)
    return length


def _string(file: BinaryIO) -> str:
    length = _number(file, "<Q")
    if length > _LONGEST_STRING:
        raise OverflowError
    content = file.read(length)
    if len(content) < length:
        raise struct.error
    return content.decode("utf-8", errors="replace")


def _skip(file: BinaryIO, length: int) -> None:
    file.seek(length, os.SEEK_CUR)
    if file.tell() > os.fstat(file.fileno()).st_size:
        raise struct.error


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]
