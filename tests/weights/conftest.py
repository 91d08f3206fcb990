"""Tiny models made once for the whole room; tests that damage one copy it first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mozhu.testing import make_tiny_adapter, make_tiny_model


@pytest.fixture(autouse=True)
def _english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOZHU_LANG", "en")


@pytest.fixture(autouse=True)
def _empty_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No workspace and no hub cache of the machine may answer for these tests."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-hub"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "no-scope"))
    for name in ("MOZHU_WORKSPACE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ChatML, byte-level BPE, tied, one file."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "qwen", "qwen2")


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """[INST], SentencePiece style, untied, three shards."""
    place = tmp_path_factory.mktemp("models") / "llama"
    return make_tiny_model(place, "llama", tokenizer="sentencepiece", tie=False, shards=3)


@pytest.fixture(scope="session")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gemma's turns, SentencePiece style."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "gemma", "gemma3", tokenizer="sentencepiece")


@pytest.fixture(scope="session")
def adapter(tmp_path_factory: pytest.TempPathFactory, qwen: Path) -> Path:
    """A LoRA adapter on ``qwen`` that records its base."""
    return make_tiny_adapter(tmp_path_factory.mktemp("models") / "adapter", qwen, record=True)


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[Path], Path]:
    def copy(folder: Path) -> Path:
        return Path(shutil.copytree(folder, tmp_path / f"copy-{folder.name}"))

    return copy
