"""What it costs to put a LoRA into a model's weights: time and, above all, memory.

Peers: PEFT's ``merge_and_unload`` and ``save_pretrained``, which gives the same weights to the last bit and holds
the whole model; and a plain copy of the folder, the physical limit of writing such a model at all. Without its
certificate Mozhu still hashes every file; ``with certificate`` (measured with ``--full``) is what a user gets: the
logits of the merged model compared with those of base and adapter. All run on one thread in forks that have the
same libraries loaded, so memory is what the work itself added.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from benchmarks.harness import alternate, in_fork, quiet
from benchmarks.models import (
    cleaner,
    make_adapter,
    make_model,
    need_room,
    size_facts,
    weights_of,
    without_certificate,
)
from benchmarks.report import Comparison
from benchmarks.table import Size
from mozhu.engine.export.merge import run_merge
from mozhu.kernel.files import sha256_file
from mozhu.specs.export import MergeSpec

_COPIES = 4


def measure(work: Path, size: Size) -> list[Comparison]:
    return [_compare(work / shape, shape, certificate=certificate) for shape, certificate in size["models"]]


def _compare(work: Path, shape: str, *, certificate: bool) -> Comparison:
    need_room(work, shape, _COPIES)
    base = make_model(work / "base", shape)
    adapter = make_adapter(work / "adapter", base)
    ours, theirs, copy = work / "ours", work / "theirs", work / "copy"
    certified = work / "certified"

    def merge(target: Path, *, certify: bool) -> None:
        if not certify:
            without_certificate("certify_merge")
        spec = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(target))
        run_merge(spec, work, quiet)

    peers = {
        "mozhu": in_fork(lambda: merge(ours, certify=False), before=cleaner(ours)),
        "PEFT": in_fork(lambda: _by_peft(base, adapter, theirs), before=cleaner(theirs)),
        "plain copy": in_fork(lambda: _copy(base, copy), before=cleaner(copy)),
    }
    against = [("mozhu", "PEFT"), ("mozhu", "plain copy")]
    if certificate:
        certifying = in_fork(lambda: merge(certified, certify=True), before=cleaner(certified))
        peers["mozhu with certificate"] = certifying
        against.append(("mozhu with certificate", "PEFT"))
    measured = alternate(peers)
    same = sha256_file(weights_of(ours)) == sha256_file(weights_of(theirs))
    return Comparison(
        f"a LoRA of rank 8 merged into a {shape} Qwen2 (bfloat16)",
        measured,
        weights_of(base).stat().st_size / 1e6,
        "MB",
        against=against,
        facts={**size_facts(base), "same_file_as_peft": same},
    )


def _by_peft(base: Path, adapter: Path, target: Path) -> None:
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", local_files_only=True)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.save_pretrained(target, max_shard_size="100GB")


def _copy(base: Path, target: Path) -> None:
    shutil.copytree(base, target)
