"""A damaged safetensors file is named, with the tensor, before anything is loaded from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from mozhu.engine.weights.headers import read_header, read_metadata
from mozhu.kernel.errors import DamagedWeights


def _write(path: Path, header: dict[str, Any] | bytes, data: bytes) -> Path:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)
    return path


def _entry(dtype: str, shape: list[int], start: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


def test_the_header_agrees_with_the_reference_reader(tmp_path: Path) -> None:
    arrays = {
        "b": np.arange(6, dtype=np.float32).reshape(2, 3),
        "a": np.arange(5, dtype=np.int8),
        "empty": np.zeros((0, 4), dtype=np.float16),
        "scalar": np.array(7, dtype=np.int64),
    }
    path = tmp_path / "m.safetensors"
    save_file(arrays, path, metadata={"format": "pt"})
    tensors = read_header(path)
    content = path.read_bytes()
    with safe_open(path, "numpy") as reference:
        assert set(reference.keys()) == set(tensors)
    for name, array in arrays.items():
        assert tensors[name].shape == array.shape
        assert content[tensors[name].start : tensors[name].end] == array.tobytes()
    assert read_metadata(path) == {"format": "pt"}


LIES = {
    "beyond": {"w": _entry("F32", [2], 0, 8), "x": _entry("F32", [2], 8, 16)},
    "too_small_for_shape": {"w": _entry("F32", [4], 0, 8)},
    "overlap": {"w": _entry("F32", [2], 0, 8), "x": _entry("F32", [1], 4, 8)},
    "gap": {"w": _entry("F32", [1], 4, 8)},
    "backwards": {"w": _entry("F32", [1], 8, 4)},
    "unknown_type": {"w": _entry("Q4", [2], 0, 8)},
    "negative": {"w": _entry("F32", [-2], 0, 8)},
    "bytes_left": {"w": _entry("F32", [1], 0, 4)},
    "no_shape": {"w": {"dtype": "F32", "data_offsets": [0, 8]}},
}


@pytest.mark.parametrize("lie", sorted(LIES))
def test_a_header_that_lies_is_refused_with_file_and_tensor(tmp_path: Path, lie: str) -> None:
    path = _write(tmp_path / "m.safetensors", LIES[lie], b"\0" * 8)
    with pytest.raises(DamagedWeights) as caught:
        read_header(path)
    assert "m.safetensors" in str(caught.value)
    if lie != "bytes_left":
        assert "`w`" in str(caught.value) or "`x`" in str(caught.value)
    with pytest.raises(SafetensorError):
        safe_open(path, "numpy").__enter__()


@pytest.mark.parametrize(
    "content",
    [b"", b"\x05\0", b"\xff" * 8, (50).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]",
     (9).to_bytes(8, "little") + b"{'a': 1} ", (200_000_000).to_bytes(8, "little") + b"{}"],
)  # fmt: skip
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(DamagedWeights):
        read_header(path)


def test_all_faults_of_a_file_come_in_one_error(tmp_path: Path) -> None:
    header = {"w": _entry("F32", [9], 0, 8), "x": _entry("Q4", [2], 0, 8), "y": _entry("F32", [2], 0, 800)}
    with pytest.raises(DamagedWeights) as caught:
        read_header(_write(tmp_path / "m.safetensors", header, b"\0" * 8))
    assert all(f"`{name}`" in caught.value.what for name in "wxy")


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(min_value=1, max_value=230))
def test_a_file_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("cut") / "m.safetensors"
    save_file({"w": np.ones((4, 4), dtype=np.float32), "v": np.ones(3, dtype=np.float16)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: max(0, len(whole) - cut)])
    with pytest.raises(DamagedWeights):
        read_header(path)
