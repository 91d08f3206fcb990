"""safetensors and GGUF files whose headers lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

from corpus.hostile.payload import Hostile

_W = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def headers() -> Iterator[Hostile]:
    for title, header, data in _safetensors():
        raw = header if isinstance(header, bytes) else json.dumps(header).encode()
        content = struct.pack("<Q", len(raw)) + raw + data
        yield Hostile(f"safetensors: {title}", "model.safetensors", content, ("SAFE-131",))
    yield Hostile(
        "safetensors: header of an exabyte",
        "model.safetensors",
        struct.pack("<Q", 1 << 60) + b"{}",
        ("SAFE-131",),
    )
    yield Hostile("safetensors: seven bytes", "model.safetensors", b"\x02\0\0\0\0\0\0", ("SAFE-131",))
    for title, content in _gguf():
        yield Hostile(f"GGUF: {title}", "model.gguf", content, ("SAFE-132",))


def _safetensors() -> Iterator[tuple[str, Any, bytes]]:
    second = {**_W, "data_offsets": [4, 12]}
    yield "two tensors on the same bytes", {"a": _W, "b": second}, bytes(12)
    yield "a gap that hides bytes", {"a": _W, "b": {**_W, "data_offsets": [12, 20]}}, bytes(20)
    yield "a tensor beyond the end", {"a": {**_W, "data_offsets": [0, 800], "shape": [200]}}, bytes(8)
    yield "shape and size differ", {"a": {**_W, "shape": [3]}}, bytes(8)
    yield "a shape that overflows", {"a": {**_W, "shape": [1 << 62, 4, 1 << 62]}}, bytes(8)
    yield "a negative side", {"a": {**_W, "shape": [-2, -1]}}, bytes(8)
    yield "an offset that is no number", {"a": {**_W, "data_offsets": ["0", 8]}}, bytes(8)
    yield "an unknown type", {"a": {**_W, "dtype": "object"}}, bytes(8)
    yield "bytes behind the last tensor", {"a": _W}, bytes(8) + b"\x80\x02."
    yield (
        "one name twice",
        b'{"a":' + json.dumps(_W).encode() + b',"a":' + json.dumps(_W).encode() + b"}",
        bytes(8),
    )
    yield "UTF-16", json.dumps({"a": _W}).encode("utf-16"), bytes(8)
    yield "not UTF-8", b'{"\xff": ' + json.dumps(_W).encode() + b"}", bytes(8)
    yield "folded ten thousand deep", b"{" + b'"a":[' * 10_000, bytes(8)
    yield "metadata that is no text", {"a": _W, "__metadata__": {"a": {"b": 1}}}, bytes(8)


def _gguf() -> Iterator[tuple[str, bytes]]:
    yield "cut short", b"GGUF\x03\0\0\0\1"
    yield "version 77", _file(version=77)
    yield "2^60 tensors", _file(tensors=1 << 60)
    yield "2^60 entries", _file(entries=1 << 60)
    yield "a text of an exabyte", _file(entries=1, rest=struct.pack("<Q", 1 << 60) + b"key")
    yield (
        "an array of 2^60",
        _file(entries=1, rest=_text("k") + struct.pack("<IIQ", 9, 0, 1 << 60) + bytes(64)),
    )
    yield (
        "texts without end",
        _file(entries=1, rest=_text("k") + struct.pack("<IIQ", 9, 8, 1 << 58) + bytes(64)),
    )
    nested = struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 20
    yield "arrays twenty deep", _file(entries=1, rest=_text("k") + nested + bytes(64))
    yield "an unknown value", _file(entries=1, rest=_text("k") + struct.pack("<I", 99) + bytes(64))
    yield "a key twice", _file(entries=2, rest=2 * (_text("k") + struct.pack("<II", 4, 1)))
    yield (
        "a name that is not UTF-8",
        _file(entries=1, rest=struct.pack("<Q", 2) + b"\xff\xfe" + struct.pack("<II", 4, 1)),
    )
    yield (
        "alignment 0",
        _file(entries=1, rest=_text("general.alignment") + struct.pack("<II", 4, 0) + bytes(64)),
    )
    yield "a tensor beyond the end", _file(tensors=1, rest=_entry("w", 1 << 20), data=64)
    yield "a shape that overflows", _file(tensors=1, rest=_entry("w", 1 << 62, 1 << 62), data=64)
    yield "an unknown type of tensor", _file(tensors=1, rest=_entry("w", 8, kind=250), data=64)
    yield "two tensors on the same bytes", _file(tensors=2, rest=_entry("a", 16) + _entry("b", 16), data=64)
    yield "one tensor twice", _file(tensors=2, rest=_entry("a", 8) + _entry("a", 8, offset=32), data=64)
    yield "bytes behind the last tensor", _file(tensors=1, rest=_entry("a", 8), data=4096)
    yield "nine sides", _file(tensors=1, rest=_entry("a", *[1] * 9), data=64)


def _file(*, version: int = 3, tensors: int = 0, entries: int = 0, rest: bytes = b"", data: int = 0) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + rest
    return head + bytes(-len(head) % 32) + bytes(data) if data else head


def _text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def _entry(name: str, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    sides = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return _text(name) + sides + struct.pack("<IQ", kind, offset)
