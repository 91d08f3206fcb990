"""Headers of safetensors and GGUF: whatever stands in a file, the reader answers; what it accepts is sound."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mozhu.kernel.gguf import read_gguf_file
from mozhu.kernel.safetensors import BITS_OF, read_header

_SETTINGS = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_DTYPES = st.sampled_from(sorted(name for name, bits in BITS_OF.items() if bits >= 8))
_SHAPES = st.lists(st.integers(0, 4), max_size=3)
_TENSORS = st.dictionaries(
    # Those that a reader may stumble over; any character at all costs seconds before the first example.
    st.text(
        st.sampled_from('ab._/"\\ \0\n\x7f\u00e9\u6a21\u2028\ufeff\ufffd\U0001f600'), min_size=1, max_size=8
    ),
    st.tuples(_DTYPES, _SHAPES),
    max_size=5,
)


def _laid_out(tensors: dict[str, tuple[str, list[int]]]) -> tuple[dict[str, Any], int]:
    table, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = BITS_OF[dtype] // 8
        for side in shape:
            size *= side
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    return table, end


def _write(path: Path, table: Any, data: int) -> Path:
    raw = json.dumps(table).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(data))
    return path


@given(_TENSORS)
@_SETTINGS
def test_a_sound_file_is_accepted_with_its_tensors(tmp_path: Path, tensors: dict[str, Any]) -> None:
    table, size = _laid_out(tensors)
    header = read_header(_write(tmp_path / "x.safetensors", table, size))
    assert header.problems == ()
    assert {name: (entry.dtype, list(entry.shape)) for name, entry in header.tensors.items()} == {
        name: tuple(told) for name, told in tensors.items()
    }


@given(_TENSORS.filter(bool), st.data())
@_SETTINGS
def test_one_moved_offset_is_always_found(
    tmp_path: Path, tensors: dict[str, Any], data: st.DataObject
) -> None:
    table, size = _laid_out(tensors)
    name = data.draw(st.sampled_from(sorted(table)))
    place, by = data.draw(st.sampled_from([0, 1])), data.draw(st.integers(-9, 9).filter(bool))
    table[name]["data_offsets"][place] += by
    assert read_header(_write(tmp_path / "x.safetensors", table, size)).problems


@given(_TENSORS, st.integers(1, 64), st.booleans())
@_SETTINGS
def test_more_or_fewer_bytes_than_told_are_always_found(
    tmp_path: Path, tensors: dict[str, Any], by: int, more: bool
) -> None:
    table, size = _laid_out(tensors)
    if not more and not size:
        return
    assert read_header(
        _write(tmp_path / "x.safetensors", table, size + by if more else max(0, size - by))
    ).problems


@given(st.binary(max_size=300))
@_SETTINGS
def test_any_bytes_are_answered_by_problems(tmp_path: Path, content: bytes) -> None:
    for head, read in (
        (b"", read_header),
        (struct.pack("<Q", len(content)), read_header),
        (b"GGUF", read_gguf_file),
    ):
        path = tmp_path / "x"
        path.write_bytes(head + content)
        found = read(path)
        assert found.problems or isinstance(found.tensors, dict)


@given(st.integers(0, 400), st.integers(0, 255))
@_SETTINGS
def test_one_changed_byte_of_a_gguf_never_makes_a_tensor_lie_outside(
    tmp_path: Path, at: int, value: int
) -> None:
    content = bytearray(_gguf())
    content[at % len(content)] = value
    path = tmp_path / "x.gguf"
    path.write_bytes(bytes(content))
    found = read_gguf_file(path)
    for tensor in found.tensors.values():
        assert tensor.start >= 0 and tensor.start + tensor.size_bytes <= len(content)


@pytest.mark.parametrize("cut", range(0, 340, 7))
def test_a_gguf_that_is_cut_short_is_found(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(_gguf()[:cut])
    assert read_gguf_file(path).problems


def test_a_whole_gguf_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(_gguf())
    found = read_gguf_file(path)
    assert found.problems == () and found.metadata == {"general.architecture": "llama", "tokens": 2}
    assert {name: tensor.shape for name, tensor in found.tensors.items()} == {"a": (32,), "b": (8,)}


def _gguf() -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, 2, 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    head += text("a") + struct.pack("<IQIQ", 1, 32, 0, 0) + text("b") + struct.pack("<IQIQ", 1, 8, 0, 128)
    return head + bytes(-len(head) % 32) + bytes(160)
