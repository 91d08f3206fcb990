"""Remembered hashes: taken for an unchanged file, never for a changed one, and only from where this user keeps them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mozhu.engine.weights import content
from mozhu.kernel.files import sha256_file


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("MOZHU_HASH_CACHE", str(tmp_path / "hashes"))
    content._seen.clear()
    yield tmp_path / "hashes"
    content._seen.clear()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that has been at rest for longer than a change could hide in."""
    save_file({"w": torch.arange(4.0)}, tmp_path / "w.safetensors")
    monkeypatch.setattr(content, "_SETTLED_S", -1.0)
    return tmp_path / "w.safetensors"


def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that is really read from now on; what this process remembers is forgotten."""
    content._seen.clear()
    seen: list[Path] = []
    real = content._read
    monkeypatch.setattr(content, "_read", lambda path: (seen.append(path), real(path))[1])
    return seen


def test_an_unchanged_file_is_read_once(weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = content.file_content(weights)
    assert first.sha256 == sha256_file(weights) and [item[0] for item in first.tensors] == ["w"]
    assert len(list(cache.iterdir())) == 1
    seen = reads(monkeypatch)
    assert content.file_content(weights) == first and seen == []
    assert content.file_content(weights, fresh=True) == first and seen == [weights]


@pytest.mark.parametrize("how", ["content", "same times", "another inode"])
def test_a_changed_file_is_read_again(weights: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of the last change of the file's state cannot be set back, so a forged mtime does not help."""
    first, state = content.file_content(weights), weights.stat()
    seen = reads(monkeypatch)
    raw = bytearray(weights.read_bytes())
    raw[-1] ^= 1
    if how == "another inode":
        (weights.parent / "other").write_bytes(raw)
        os.replace(weights.parent / "other", weights)
    else:
        weights.write_bytes(raw)
    if how != "content":
        os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    found = content.file_content(weights)
    assert found.sha256 == sha256_file(weights) != first.sha256 and seen == [weights]


def test_a_file_that_has_just_changed_is_not_remembered(
    weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content, "_SETTLED_S", 5.0)
    content.file_content(weights)
    assert not cache.exists()
    later = time.time() + 60
    monkeypatch.setattr(content.time, "time", lambda: later)
    content.file_content(weights, fresh=True)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("wrong", ["{", "[]", '{"schema": 99}', '{"schema": 1, "key": []}'])
def test_a_damaged_record_is_as_none(
    weights: Path, cache: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = content.file_content(weights)
    next(cache.iterdir()).write_text(wrong)
    seen = reads(monkeypatch)
    assert content.file_content(weights) == first and seen == [weights]
    assert json.loads(next(cache.iterdir()).read_text())["sha256"] == first.sha256, "and is mended"


def test_off_keeps_nothing(weights: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOZHU_HASH_CACHE", "off")
    content.file_content(weights)
    assert content.hash_cache() is None and not cache.exists()
