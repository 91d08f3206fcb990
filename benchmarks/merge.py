"""What it costs to put a LoRA into a model's weights: time and, above all, memory.

Peers: PEFT's ``merge_and_unload`` and ``save_pretrained``, which gives the same weights to the last bit and holds
the whole model; a plain copy of the folder; that copy and the bare products B·A of the adapter in float32, the least
that a merge can be made of; the same with the copy brought to the disk (``fsync``), as a merge does before its
folder takes its place; and the same with the sha256 of what was written, which nobody who records it can be faster
than. Without its certificate Mozhu still hashes every file; ``with certificate`` (measured with
``--full``) is what a user gets: the logits of the merged model compared with those of base and adapter. All may use
every free core, in forks that have the same libraries loaded, so memory is what the work itself added.

``synthetic``: a checkpoint in several files with one tensor of 2 GB, merged once; what counts is the whole peak of the
process, libraries and all.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from benchmarks.harness import Measured, Skipped, alternate, forked, in_fork, quiet, ratio
from benchmarks.models import (
    cleaner,
    make_adapter,
    make_model,
    need_room,
    size_facts,
    weights_of,
    without_certificate,
)
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from mozhu.engine.export.merge import run_merge
from mozhu.engine.export.shards import NewTensor, cut_shards, index_of
from mozhu.kernel.files import folder_bytes, free_bytes, human_size, sha256_file, write_json
from mozhu.kernel.machine import free_core_count
from mozhu.specs.export import MergeSpec

_COPIES = 4
# Rows and width of the synthetic checkpoint's tensors: 268 MB each, and one of 2.1 GB.
_WIDTH, _ROWS, _LARGE_ROWS = 16_384, 8_192, 65_536
_DISK_SHARE = 2.5


def measure(work: Path, size: Size) -> list[Comparison]:
    made: list[Comparison] = []
    for shape, certificate in size["models"]:
        before = made[-1].measured if made else None
        made.append(
            _compare(work / shape, shape, certificate=certificate, smaller=before, rounds=size["rounds"])
        )
        shutil.rmtree(work / shape)
    if gigabytes := size.get("synthetic"):
        made.append(_synthetic(work / "synthetic", gigabytes))
    return made


def _compare(
    work: Path, shape: str, *, certificate: bool, smaller: dict[str, Measured] | None, rounds: int
) -> Comparison:
    need_room(work, shape, _COPIES)
    base = make_model(work / "base", shape)
    adapter = make_adapter(work / "adapter", base)
    ours, theirs, copy = work / "ours", work / "theirs", work / "copy"
    certified = work / "certified"
    peers = {
        "mozhu": in_fork(lambda: _merge(base, adapter, ours), before=cleaner(ours)),
        "PEFT": in_fork(lambda: _by_peft(base, adapter, theirs), before=cleaner(theirs)),
        "plain copy": in_fork(lambda: _copy(base, copy), before=cleaner(copy)),
        "copy and products": in_fork(lambda: _least(base, adapter, copy), before=cleaner(copy)),
        "synced copy and products": in_fork(
            lambda: _least(base, adapter, copy, sync=True), before=cleaner(copy)
        ),
        "copy, products and sha256": in_fork(
            lambda: _least(base, adapter, copy, sha256=True), before=cleaner(copy)
        ),
    }
    against = [("mozhu", name) for name in list(peers)[1:]]
    if certificate:
        peers["mozhu with certificate"] = in_fork(
            lambda: _merge(base, adapter, certified, certify=True), before=cleaner(certified)
        )
        against.append(("mozhu with certificate", "PEFT"))
    measured = alternate(peers, rounds)
    same = sha256_file(weights_of(ours)) == sha256_file(weights_of(theirs))
    return Comparison(
        f"a LoRA of rank 8 merged into a {shape} Qwen2 (bfloat16)",
        measured,
        weights_of(base).stat().st_size / 1e6,
        "MB",
        against=against,
        limits=_limits(measured, smaller) if smaller else (),
        facts={**size_facts(base), "same_file_as_peft": same},
    )


def _limits(measured: dict[str, Measured], smaller: dict[str, Measured]) -> list[Limit]:
    """The bars of the issue, where the model is large enough for them to mean something."""
    told = (
        ("wall against PEFT", "PEFT", "wall_s", 0.5),
        ("memory against PEFT", "PEFT", "added_bytes", 0.3),
        ("wall against copy and products", "copy and products", "wall_s", 1.5),
        ("wall against synced copy and products", "synced copy and products", "wall_s", 1.5),
        ("wall against copy, products and sha256", "copy, products and sha256", "wall_s", 1.5),
        ("CPU against copy, products and sha256", "copy, products and sha256", "cpu_s", 1.5),
    )
    limits = [
        Limit(what, found.value, limit, "x")
        for what, peer, figure, limit in told
        if (found := ratio(measured, "mozhu", peer, figure)) is not None
    ]
    now, before = measured["mozhu"].figure("added_bytes"), smaller["mozhu"].figure("added_bytes")
    if now is not None and before is not None:
        limits.append(Limit("memory more than for the smaller model", (now - before) / 1e6, 32, "MB"))
    return limits


def _synthetic(work: Path, gigabytes: int) -> Comparison:
    if free_bytes(work) < _DISK_SHARE * gigabytes * 10**9:
        raise Skipped(f"needs {human_size(_DISK_SHARE * gigabytes * 10**9)} of disk")
    base, adapter, target = work / "base", work / "adapter", work / "merged"
    tensors = forked(lambda: _write_synthetic(base, adapter, gigabytes))
    measured = {"mozhu": Measured([in_fork(lambda: _merge(base, adapter, target), before=cleaner(target))()])}
    peak = measured["mozhu"].figure("peak_bytes") or 0.0
    files = sorted(base.glob("*.safetensors"))
    return Comparison(
        f"a LoRA of rank 8 merged into {len(files)} files with a tensor of 2 GB (bfloat16)",
        measured,
        folder_bytes(base) / 1e6,
        "MB",
        limits=[Limit("peak of the whole process", peak / 1e9, 1.0, "GB")],
        runs=1,
        facts={**size_facts(base), "tensors": tensors},
    )


def _write_synthetic(base: Path, adapter: Path, gigabytes: int) -> int:
    """Files of at most 4 GB; the first tensor of the first one has 2 GB, the others 268 MB. The number of tensors."""
    base.mkdir(parents=True)
    adapter.mkdir()
    write_json(base / "config.json", {"model_type": "llama", "tie_word_embeddings": False})
    each = _WIDTH * _ROWS * 2
    count = 1 + (gigabytes * 10**9 - _LARGE_ROWS * _WIDTH * 2) // each
    shapes = {"lm_head.weight": _LARGE_ROWS}
    shapes |= {f"model.layers.{n}.mlp.down_proj.weight": _ROWS for n in range(count - 1)}
    tensors = [NewTensor(name, "BF16", (rows, _WIDTH)) for name, rows in shapes.items()]
    shards = cut_shards(tensors, 4 * 10**9, {"format": "pt"})
    block = torch.randn(_ROWS, _WIDTH).mul_(0.05).bfloat16().view(torch.uint8).numpy().tobytes()
    for shard in shards:
        with open(base / shard.name, "wb") as file:
            file.write(len(shard.header).to_bytes(8, "little") + shard.header)
            for place in shard.places:
                for _ in range(place.tensor.size_bytes // each):
                    file.write(block)
    write_json(base / "model.safetensors.index.json", index_of(shards))
    factors = {}
    for name, rows in shapes.items():
        module = f"base_model.model.{name.removesuffix('.weight')}"
        factors[f"{module}.lora_A.weight"] = torch.randn(8, _WIDTH) * 0.1
        factors[f"{module}.lora_B.weight"] = torch.randn(rows, 8) * 0.1
    save_file(factors, adapter / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": str(base)}
    write_json(adapter / "adapter_config.json", config)
    return len(tensors)


def _merge(base: Path, adapter: Path, target: Path, *, certify: bool = False) -> None:
    if not certify:
        without_certificate("certify_merge")
    spec = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(target))
    run_merge(spec, target.parent, quiet)


def _by_peft(base: Path, adapter: Path, target: Path) -> None:
    torch.set_num_threads(free_core_count())
    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto", local_files_only=True)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.save_pretrained(target, max_shard_size="100GB")


def _copy(base: Path, target: Path) -> None:
    shutil.copytree(base, target)


def _least(base: Path, adapter: Path, target: Path, *, sync: bool = False, sha256: bool = False) -> None:
    """The copy, and every product of the adapter in memory that is used again."""
    torch.set_num_threads(free_core_count())
    _copy(base, target)
    held = load_file(adapter / "adapter_model.safetensors")
    room = torch.empty(0)
    for name, a in held.items():
        if name.endswith(".lora_A.weight"):
            b = held[name.replace(".lora_A.", ".lora_B.")]
            if room.numel() < b.shape[0] * a.shape[1]:
                room = torch.empty(b.shape[0] * a.shape[1])
            torch.mm(b, a, out=room[: b.shape[0] * a.shape[1]].view(b.shape[0], a.shape[1]))
    if sync:
        with open(weights_of(target), "rb+") as file:
            os.fsync(file.fileno())
    if sha256:
        sha256_file(weights_of(target))
