"""The whole corpus, handed in as uploads: nothing hostile becomes a version, whatever it is said to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from importing import Make, files_below

from corpus.hostile.check import hostile_files
from corpus.hostile.clean import clean_checkpoints

pytestmark = pytest.mark.slow
_MARK = "mozhu-was-here"


@pytest.mark.parametrize("kind", ["text", "file"])
def test_nothing_hostile_becomes_a_version(make: Make, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make(imports_at_once=1000)
    monkeypatch.chdir(made.root)
    # What is only no model is a file, and is taken as one.
    files = [file for file in hostile_files() if kind == "text" or file.codes != ("SAFE-135",)]
    assert len(files) > 150
    items = [
        made.begin(f"m{number}", {item.file: item.content}, type=kind) for number, item in enumerate(files)
    ]
    for _ in range(3):
        made.services.imports.advance()
    for file, item in zip(files, items, strict=True):
        done = made.state(item)
        assert done.state == "failed", (file.name, done)
        assert made.codes(done) & set(file.codes), (file.name, done.findings)
        assert not made.services.registry.has_model(item.model)
    assert made.runs() == [] and not list(made.root.rglob(_MARK))


def test_everything_clean_becomes_one(make: Make, tmp_path: Path) -> None:
    """Of what is pickled one of each form is converted, in a process of its own (all of them by ``make corpus``)."""
    pytest.importorskip("torch")
    made = make(imports_at_once=1000)
    converted = {"sharded .bin with its index", "lightning.ckpt", "state dict, old form.pth"}
    chosen = [
        item for item in clean_checkpoints(tmp_path / "clean") if not item.tensors or item.name in converted
    ]
    assert len(chosen) >= 5
    for number, item in enumerate(chosen):
        files = files_below(item.path) if item.path.is_dir() else {item.path.name: item.path.read_bytes()}
        for kind in ("text", "file"):
            done = made.taken(f"m{number}-{kind}", files, type=kind)
            codes = made.codes(done)
            # Without a tokenizer it is no model of text; all else is taken.
            assert done.state == "ready" or (kind, codes) == ("text", {"REG-005"}), (item.name, done.findings)
            if done.state == "ready":
                assert made.services.registry.validate(done.reference).is_whole
