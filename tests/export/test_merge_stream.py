"""Merging takes little memory whatever the sizes, survives kill -9, and cuts files as the model libraries do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from huggingface_hub import split_torch_state_dict_into_shards
from models import make_adapter, make_model, tensors
from safetensors.torch import save_file

from mozhu.engine.export.merge import run_merge
from mozhu.engine.export.shards import NewTensor, cut_shards
from mozhu.kernel.errors import InvalidSpec, MergeBusy
from mozhu.kernel.sizes import parse_size
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.manifest import Manifest, manifest_problems

INDEX = "model.safetensors.index.json"
CHILD = """
import json, os, signal, sys
from pathlib import Path
from mozhu.engine.export import certify
from mozhu.engine.export.merge import run_merge
from mozhu.specs.export import MergeSpec

certify.ROOMS = "none"
base, adapter, target, shards = sys.argv[1:]
staging = Path(target).parent / f".{Path(target).name}.merging"

def emit(kind, **fields):
    path = staging / "merging.json"
    if path.is_file() and len(json.loads(path.read_text())["shards"]) >= int(shards):
        os.kill(os.getpid(), signal.SIGKILL)

steps = sys.modules["mozhu.engine.export.steps"]
steps.SHOWN_EVERY_S = 0.0
run_merge(MergeSpec(base_model=base, adapter=adapter, output_path=target), Path(target).parent, emit)
"""
MEASURE = """
import sys
from pathlib import Path
from mozhu.engine.export import certify
from mozhu.engine.export.merge import run_merge
from mozhu.specs.export import MergeSpec

certify.ROOMS = "none"

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024

def merge(base):
    folder = Path(base)
    spec = MergeSpec(
        base_model=base, adapter=str(folder / "adapter"), output_path=str(folder.parent / f"{folder.name}-merged")
    )
    run_merge(spec, folder, lambda *_, **__: None)

merge(sys.argv[1])  # whatever is loaded once is loaded now
Path("/proc/self/clear_refs").write_text("5")
before = peak()
merge(sys.argv[2])
print(peak() - before)
"""


def merge(base: Path, adapter: Path, target: Path, **more: Any) -> Any:
    spec = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(target), **more)
    return run_merge(spec, target.parent, lambda *_, **__: None)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory) -> tuple[Path, Path]:
    base = make_model(tmp_path_factory.mktemp("models") / "base", shard="200KB", dtype=torch.bfloat16)
    return base, make_adapter(base.parent / "adapter", base)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("shards", [0, 1, 2])
def test_a_killed_merge_goes_on_with_its_finished_shards(shards, sharded, tmp_path):
    base, adapter = sharded
    target = tmp_path / "merged"
    words = [sys.executable, "-c", CHILD, str(base), str(adapter), str(target), str(shards)]
    killed = subprocess.run(words, capture_output=True, text=True)
    if shards:
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not target.exists()
    outcome = merge(base, adapter, target)
    assert outcome.details["reused_shards"] >= shards
    merge(base, adapter, tmp_path / "at once")
    assert content(target) == content(tmp_path / "at once")
    assert manifest_problems(target, Manifest.read(target / "manifest.json")) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at once", "merged"]


def test_what_was_left_by_another_merge_or_damaged_since_is_made_anew(sharded, tmp_path):
    base, adapter = sharded
    target, staging = tmp_path / "merged", tmp_path / ".merged.merging"
    words = [sys.executable, "-c", CHILD, str(base), str(adapter), str(target), "2"]
    subprocess.run(words, capture_output=True)
    first = sorted(staging.glob("*.safetensors"))[0]
    with open(first, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x77")
    shutil.copytree(staging, tmp_path / "kept")
    assert merge(base, adapter, target).details["reused_shards"] == 1
    merge(base, adapter, tmp_path / "at once")
    assert content(target) == content(tmp_path / "at once")
    shutil.copytree(tmp_path / "kept", staging)
    other = make_adapter(tmp_path / "other", base, seed=3)
    assert merge(base, other, target).details["reused_shards"] == 0


def test_two_merges_into_one_folder_do_not_meet(sharded, tmp_path):
    with FileLock(tmp_path / ".merged.merging.lock"), pytest.raises(MergeBusy):
        merge(*sharded, tmp_path / "merged")


def test_memory_is_bounded_whatever_the_size_of_the_model_and_of_its_tensors(tmp_path):
    """Added to what small work has taken before: far less than the large tensor, which is 192 MB."""
    small, large = (_synthetic(tmp_path / name, rows) for name, rows in (("small", 2_000), ("large", 96_000)))
    words = [sys.executable, "-c", MEASURE, str(small), str(large)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 64 << 20


def _synthetic(folder: Path, rows: int) -> Path:
    """A checkpoint with one tensor of ``rows`` times 2 KB, and a LoRA on it."""
    width = 1024
    (folder / "adapter").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "tie_word_embeddings": False}))
    weights = {"lm_head.weight": torch.ones(rows, width, dtype=torch.bfloat16)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "base_model_name_or_path": str(folder)}
    (folder / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    key = "base_model.model.lm_head"
    factors = {f"{key}.lora_A.weight": torch.ones(2, width), f"{key}.lora_B.weight": torch.ones(rows, 2)}
    save_file(factors, folder / "adapter" / "adapter_model.safetensors")
    return folder


@pytest.mark.parametrize("limit", ["60KB", "200KB", "1MB", "1GB"])
def test_files_are_cut_as_the_reference_cuts_them(limit, sharded, tmp_path):
    base, _ = sharded
    held = tensors(base)
    wanted = split_torch_state_dict_into_shards(held, max_shard_size=limit)
    names = {torch.bfloat16: "BF16"}
    new = [NewTensor(name, names[value.dtype], tuple(value.shape)) for name, value in held.items()]
    found = cut_shards(new, parse_size(limit), {"format": "pt"})
    files = {shard.name: [place.tensor.name for place in shard.places] for shard in found}
    assert files == {name: list(tensors) for name, tensors in wanted.filename_to_tensors.items()}


def test_the_merged_model_comes_in_files_of_the_wanted_size(sharded, tmp_path):
    base, adapter = sharded
    merge(base, adapter, tmp_path / "whole", max_shard_size="1GB")
    merge(base, adapter, tmp_path / "cut", max_shard_size="100KB")
    assert [path.name for path in (tmp_path / "whole").glob("*.safetensors")] == ["model.safetensors"]
    assert not (tmp_path / "whole" / INDEX).exists()
    files = sorted((tmp_path / "cut").glob("*.safetensors"))
    index = json.loads((tmp_path / "cut" / INDEX).read_text())
    assert {path.name for path in files} == set(index["weight_map"].values())
    whole, cut = tensors(tmp_path / "whole"), tensors(tmp_path / "cut")
    assert whole.keys() == cut.keys() == index["weight_map"].keys()
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    largest = max(value.nbytes for value in whole.values())
    assert all(path.stat().st_size <= max(100_000, largest) + 10_000 for path in files)


@pytest.mark.parametrize("written", ["2GB", "1.5 GiB", "500MB", "64mb"])
def test_sizes_are_read_as_people_write_them(written):
    assert MergeSpec(adapter="a", output_path="b", max_shard_size=written).max_shard_size == written
    assert parse_size("2GB") == 2 * 10**9 and parse_size("1.5 GiB") == 3 * 2**29


@pytest.mark.parametrize("fields", [{"max_shard_size": "many"}, {"max_shard_size": "0GB"}, {"memory": "1MB"}])
def test_sizes_that_mean_nothing_are_refused(fields):
    with pytest.raises((ValueError, InvalidSpec)):
        MergeSpec(adapter="a", output_path="b", **fields)
