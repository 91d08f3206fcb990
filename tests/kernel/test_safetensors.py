"""One reader of safetensors headers: every fault in one pass, each with a code, and no text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mozhu.kernel.errors import MissingFile
from mozhu.kernel.safetensors import CODES, Header, read_header

GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def _read(path: Path, header: Any, data: bytes = b"\0" * 8) -> Header:
    content = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)
    return read_header(path)


def _codes(header: Header) -> list[str]:
    return [problem.code for problem in header.problems]


def test_a_whole_file_gives_tensors_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    table = {
        "__metadata__": {"format": "pt"},
        "b": {"dtype": "I8", "shape": [4], "data_offsets": [8, 12]},
        "a": GOOD,
        "empty": {"dtype": "F16", "shape": [0, 3], "data_offsets": [12, 12]},
        "half_bytes": {"dtype": "F4", "shape": [2], "data_offsets": [12, 13]},
    }
    header = _read(tmp_path / "x", table, b"\0" * 13)
    assert header.problems == ()
    assert list(header.tensors) == ["a", "b", "empty", "half_bytes"]
    assert header.metadata == {"format": "pt"}
    assert header.data_start == 8 + len(json.dumps(table))


@pytest.mark.parametrize(
    ("code", "table"),
    [
        ("header_json", []),
        ("header_json", b"{'a': 1}"),
        ("header_json", b"\xff\xfe"),
        ("header_json", b"[" * 100_000),
        ("header_json", b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{}}'),
        ("metadata", {"a": GOOD, "__metadata__": 3}),
        ("metadata", {"a": GOOD, "__metadata__": {"step": 1}}),
        ("tensor_entry", {"a": 3}),
        ("tensor_entry", {"a": {**GOOD, "shape": [True]}}),
        ("tensor_entry", {"a": {**GOOD, "data_offsets": [0, 8, 8]}}),
        ("tensor_entry", {"a": {**GOOD, "data_offsets": [8, 0]}}),
        ("tensor_dtype", {"a": {**GOOD, "dtype": ["F32"]}}),
        ("tensor_range", {"a": {**GOOD, "data_offsets": [0, 16]}}),
        ("tensor_size", {"a": {**GOOD, "shape": [3]}}),
        ("tensor_size", {"a": {"dtype": "F4", "shape": [15], "data_offsets": [0, 8]}}),
        ("tensor_overlap", {"a": GOOD, "b": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}),
        ("tensor_gap", {"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}),
        ("bytes_left", {"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}),
    ],
)
def test_each_fault_has_its_code(tmp_path: Path, code: str, table: Any) -> None:
    assert _codes(_read(tmp_path / "x", table)) == [code]
    assert code in CODES


@pytest.mark.parametrize(
    ("code", "content"),
    [
        ("no_header", b""),
        ("no_header", b"\2\0\0"),
        ("header_length", b"\1" + b"\0" * 7 + b"{}"),
        ("header_length", b"\3" + b"\0" * 7 + b"{}"),
        ("header_length", (100_000_001).to_bytes(8, "little") + b"{}"),
        ("header_length", b"\xff" * 8 + b"{}"),
    ],
)
def test_a_file_without_a_readable_header_says_so(tmp_path: Path, code: str, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert _codes(read_header(tmp_path / "x")) == [code]


def test_all_faults_come_in_one_pass_and_sound_tensors_stay(tmp_path: Path) -> None:
    table = {
        "type": {**GOOD, "dtype": "Q4"},
        "size": {**GOOD, "shape": [9]},
        "range": {**GOOD, "data_offsets": [0, 800]},
        "sound": {**GOOD, "data_offsets": [8, 16]},
        "over": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]},
    }
    header = _read(tmp_path / "x", table, b"\0" * 64)
    assert [(problem.code, problem.params["tensor"]) for problem in header.problems] == [
        ("tensor_dtype", "type"),
        ("tensor_size", "size"),
        ("tensor_range", "range"),
        ("tensor_overlap", "over"),
    ]
    assert list(header.tensors) == ["sound", "over"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        read_header(tmp_path / "gone")
