"""What a GGUF file says about itself, read and checked without loading a tensor.

The layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic, version, counts, metadata, one entry a
tensor, then the tensors' bytes, each at a multiple of the alignment. Counts and lengths are held against the file
before anything is set aside for them.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mozhu.kernel.files import reading

MAGIC = b"GGUF"
VERSIONS = (2, 3)
CODES = (
    "magic",
    "version",
    "counts",
    "cut_short",
    "text",
    "value_type",
    "doubled_key",
    "alignment",
    "tensor_type",
    "tensor_shape",
    "tensor_range",
    "tensor_overlap",
    "doubled_tensor",
    "bytes_left",
)
_MOST_ENTRIES, _MOST_TENSORS = 1 << 20, 1 << 20
_LONGEST_KEY, _LONGEST_NAME = 65_535, 255
_DEEPEST_ARRAY = 4
_LARGEST_ALIGNMENT = 1 << 20
_ALIGNMENT_KEY, _ALIGNMENT = "general.alignment", 32
_MOST_SIDES = 4
_LARGEST_TENSOR = 1 << 62
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _ARRAY = 8, 9
# (values in a block, bytes of a block) by the number of a tensor's type.
# fmt: off
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110),
    22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8),
    29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}
# fmt: on


@dataclass(frozen=True)
class GgufProblem:
    """One fault: ``code`` is one of :data:`CODES`, ``params`` the name and the figures."""

    code: str
    params: dict[str, Any]


@dataclass(frozen=True)
class GgufTensor:
    """``start`` counts bytes from the beginning of the file."""

    kind: int
    shape: tuple[int, ...]
    start: int
    size_bytes: int


@dataclass(frozen=True)
class GgufFile:
    """``metadata`` holds numbers and texts; of an array only its length. With ``problems`` it is not to be loaded."""

    version: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, GgufTensor] = field(default_factory=dict)
    problems: tuple[GgufProblem, ...] = ()


class _Fault(Exception):
    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.problem = GgufProblem(code, params)


def read_gguf_file(path: Path) -> GgufFile:
    """The header of ``path``, held against the size of the file, with every fault that can be told.

    Raises:
        MissingFile: FILE-001. NotReadable: FILE-005.
    """
    with reading(path), open(path, "rb") as file:
        return _Reader(file).read()


class _Reader:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._metadata: dict[str, Any] = {}
        self._version = 0

    def read(self) -> GgufFile:
        problems: list[GgufProblem] = []
        tensors: dict[str, GgufTensor] = {}
        try:
            count = self._head()
            entries = [self._tensor() for _ in range(count)]
            problems += self._place(entries, tensors)
        except _Fault as fault:
            problems.append(fault.problem)
        return GgufFile(self._version, self._metadata, tensors, tuple(problems))

    def _head(self) -> int:
        if self._file.read(4) != MAGIC:
            raise _Fault("magic")
        self._version = self._number("I")
        if self._version not in VERSIONS:
            raise _Fault("version", version=self._version)
        tensors, entries = self._number("Q"), self._number("Q")
        # An entry takes at least 13 bytes and a tensor 24, so a small file cannot hold many.
        if tensors > min(_MOST_TENSORS, self._size // 24) or entries > min(_MOST_ENTRIES, self._size // 13):
            raise _Fault("counts", tensors=tensors, entries=entries)
        for _ in range(entries):
            key = self._text(_LONGEST_KEY)
            if key in self._metadata:
                raise _Fault("doubled_key", key=key)
            self._metadata[key] = self._value(self._number("I"), 0)
        return int(tensors)

    def _tensor(self) -> tuple[str, int, tuple[int, ...], int]:
        name = self._text(_LONGEST_NAME)
        sides = self._number("I")
        if sides > _MOST_SIDES:
            raise _Fault("tensor_shape", tensor=name, shape=sides)
        shape = tuple(self._number("Q") for _ in range(sides))
        return name, self._number("I"), shape, self._number("Q")

    def _place(
        self, entries: list[tuple[str, int, tuple[int, ...], int]], tensors: dict[str, GgufTensor]
    ) -> Iterator[GgufProblem]:
        alignment = self._metadata.get(_ALIGNMENT_KEY, _ALIGNMENT)
        if (
            type(alignment) is not int
            or not 0 < alignment <= _LARGEST_ALIGNMENT
            or alignment & (alignment - 1)
        ):
            yield GgufProblem("alignment", {"alignment": alignment})
            return
        start = -(-self._file.tell() // alignment) * alignment
        sound = True
        for name, kind, shape, offset in entries:
            fault = self._entry_fault(name, kind, shape, offset, start, alignment)
            if fault is None and name in tensors:
                fault = GgufProblem("doubled_tensor", {"tensor": name})
            if fault is not None:
                sound = False
                yield fault
                continue
            tensors[name] = GgufTensor(kind, shape, start + offset, _bytes_of(kind, shape))
        yield from _layout_problems(tensors, self._size, alignment, all_known=sound)

    def _entry_fault(
        self, name: str, kind: int, shape: tuple[int, ...], offset: int, start: int, alignment: int
    ) -> GgufProblem | None:
        if kind not in BLOCKS:
            return GgufProblem("tensor_type", {"tensor": name, "type": kind})
        count = math.prod(shape)
        if not shape or count > _LARGEST_TENSOR or shape[0] % BLOCKS[kind][0]:
            return GgufProblem("tensor_shape", {"tensor": name, "shape": list(shape)})
        end = start + offset + _bytes_of(kind, shape)
        if offset % alignment or end > self._size:
            return GgufProblem(
                "tensor_range", {"tensor": name, "start": offset, "end": end, "size": self._size}
            )
        return None

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _TEXT:
            return self._text(self._size)
        if kind != _ARRAY or depth >= _DEEPEST_ARRAY:
            raise _Fault("value_type", type=kind)
        inner, length = self._number("I"), self._number("Q")
        if inner in _SCALARS:
            self._skip(struct.calcsize(_SCALARS[inner]) * length)
        elif inner == _TEXT:
            self._need(8 * length)
            for _ in range(length):
                self._text(self._size)
        else:
            self._need(12 * length)
            for _ in range(length):
                self._value(inner, depth + 1)
        return length

    def _number(self, form: str) -> Any:
        size = struct.calcsize(form)
        return struct.unpack(f"<{form}", self._bytes(size))[0]

    def _text(self, longest: int) -> str:
        length = self._number("Q")
        if length > longest:
            raise _Fault("text", at=self._file.tell(), bytes=length)
        try:
            return self._bytes(length).decode("utf-8")
        except UnicodeDecodeError:
            raise _Fault("text", at=self._file.tell(), bytes=length) from None

    def _bytes(self, size: int) -> bytes:
        self._need(size)
        return self._file.read(size)

    def _skip(self, size: int) -> None:
        self._need(size)
        self._file.seek(size, os.SEEK_CUR)

    def _need(self, size: int) -> None:
        if size > self._size - self._file.tell():
            raise _Fault("cut_short", at=self._file.tell(), needed=size, size=self._size)


def _bytes_of(kind: int, shape: tuple[int, ...]) -> int:
    values, size = BLOCKS[kind]
    return math.prod(shape) // values * size


def _layout_problems(
    tensors: dict[str, GgufTensor], size: int, alignment: int, *, all_known: bool
) -> Iterator[GgufProblem]:
    """Tensors that share bytes; bytes behind the last one that alignment does not explain."""
    position = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].size_bytes)):
        if tensor.start < position:
            yield GgufProblem("tensor_overlap", {"tensor": name})
        position = max(position, tensor.start + tensor.size_bytes)
    if tensors and all_known and size - position >= alignment:
        yield GgufProblem("bytes_left", {"bytes": size - position})
