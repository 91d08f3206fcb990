"""What strangers hand in: everything hostile is stopped whole, everything clean passes and keeps its numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from corpus.hostile.check import check_clean, check_one, hostile_files
from corpus.hostile.clean import clean_checkpoints, clean_forms, clean_types
from corpus.hostile.payload import Hostile
from mozhu.engine.intake.allowed import ALLOWED

FILES = list(hostile_files())


@pytest.mark.parametrize("item", FILES, ids=lambda item: item.name)
def test_a_hostile_file_is_stopped_whole(item: Hostile, tmp_path: Path) -> None:
    line = check_one(item, tmp_path / "work")
    assert line.ok, line


def test_the_corpus_is_large_enough() -> None:
    assert len(FILES) >= 40
    assert len({item.name for item in FILES}) == len(FILES)


@pytest.mark.slow
def test_clean_checkpoints_pass_and_keep_their_numbers(tmp_path: Path) -> None:
    """Every one is looked at; of each form one is converted in its own process (all of them by ``make corpus``)."""
    converted = {"sharded .bin with its index", "lightning.ckpt", "state dict, old form.pth"}
    lines = [
        check_clean(item, tmp_path / "runs", convert=item.name in converted)
        for item in clean_checkpoints(tmp_path / "clean")
    ]
    assert len(lines) >= 30
    assert not [line for line in lines if not line.ok]


def test_clean_forms_and_types_of_torch_pass(tmp_path: Path) -> None:
    items = [*clean_forms(tmp_path), *clean_types(tmp_path)]
    assert len(items) >= 18
    lines = [check_clean(item, tmp_path / "runs", convert=False) for item in items]
    assert not [line for line in lines if not line.ok]


def test_every_allowed_name_is_one_that_torch_allows() -> None:
    """Where torch forbids a name, a file that we let pass would not load."""
    unpickler = pytest.importorskip("torch._weights_only_unpickler")
    assert set(unpickler._get_allowed_globals()) >= ALLOWED


def test_nothing_in_the_source_ever_trusts_remote_code() -> None:
    root = Path(__file__).resolve().parents[2]
    trusting = re.compile(
        r"trust_remote_code\W{1,4}(True|1\b)|weights_only\s*=\s*False|\ballow_pickle\s*=\s*True"
    )
    for place in ("src", "tools", "benchmarks", "1_utils", "2_core", "4_scripts", "finetune", "LLM"):
        for path in (root / place).rglob("*.py"):
            assert not trusting.search(path.read_text(encoding="utf-8")), path
