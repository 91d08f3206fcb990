"""``mozhu merge``: one whole model out of a base and its LoRA adapter, tensor by tensor.

Memory holds the largest tensor a few times, never the model. The result is the same to the last bit as PEFT's
``merge_and_unload`` followed by ``save_pretrained``, and has the base's shards.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mozhu.engine.export.adapter import Adapter, open_adapter, plan_changes
from mozhu.engine.export.certify import certify
from mozhu.engine.export.checkpoint import Checkpoint, open_checkpoint
from mozhu.engine.export.deltas import DTYPES, merge_tensor
from mozhu.engine.export.merge_record import MERGE_RECORD
from mozhu.engine.export.shards import Extra, write_index, write_shard
from mozhu.engine.export.steps import Steps
from mozhu.engine.export.targets import check_folder_target, check_space, from_folder, resolved
from mozhu.engine.scoring.threads import spare_threads
from mozhu.engine.weights.base_record import BASE_RECORD, read_base_record
from mozhu.engine.weights.fingerprint import differing_parts, tokenizer_hash, weights_hash
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import AdapterMismatch, NoAdapter, NoEffect, NotMergeable
from mozhu.kernel.files import read_json, replacing_folder, sha256_file, write_json
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.manifest import NOT_LISTED, make_manifest
from mozhu.specs.records.result import Artefact, Metric, Outcome
from mozhu.specs.records.sidecars import ABOUT

_HEAD = "lm_head.weight"
_EMBEDDING = "embed_tokens.weight"
_BASE_PARTS = ("weights", "tokenizer")
# Never copied from the base: its weights, and records that speak about the base and not about the result.
_NOT_COPIED = {*NOT_LISTED, *ABOUT, MERGE_RECORD, BASE_RECORD}
_WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf", ".index.json")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)


@dataclass
class Tally:
    """What the merge did, counted while it went on."""

    effects: dict[str, float] = field(default_factory=dict)
    changed: int = 0
    used: set[str] = field(default_factory=set)


def run_merge(spec: MergeSpec, folder: Path, emit: Emit) -> Outcome:
    """Write the merged model to ``spec.output_path`` and say what was changed by how much.

    ``folder`` is the run's folder: a relative ``output_path`` starts where the user stands, not there.

    Raises:
        NoAdapter, NotMergeable, NoEffect, AdapterMismatch: EXPORT-001 to 004. CertificateFailed: EXPORT-005.
        TargetExists: FILE-007. DiskFull: FILE-003. In every case the old target, if any, stands as it was.
    """
    found = find_model(spec.adapter, base=spec.base_model)
    if found.adapter is None:
        raise NoAdapter(path=str(found.path))
    adapter, model = open_adapter(found.adapter), ModelFolder.open(found.base)
    target = resolved(spec.output_path)
    check_folder_target(
        target, mark=MERGE_RECORD, inputs=[model.path, adapter.folder], overwrite=spec.overwrite
    )
    _check_base(adapter, model)
    base = open_checkpoint(model.shards)
    untied, extras = _prepare(adapter, base, model)
    check_space(target, base.size_bytes + sum(e.like.size_bytes for group in extras.values() for e in group))
    with replacing_folder(target) as temporary, spare_threads():
        tally = _write_weights(adapter, base, temporary, extras, emit)
        write_index(model.path, temporary, extras)
        _copy_files(model.path, adapter.folder, temporary, untied=untied)
        write_json(temporary / MERGE_RECORD, _record(adapter, model.path, tally))
        certificate = certify(
            "certify_merge", temporary, model.path, adapter.folder, temporary, None, target=target, emit=emit
        )
        make_manifest(temporary).write(temporary / "manifest.json")
    effect = max(tally.effects.values())
    return Outcome(
        artefacts=[
            Artefact(
                kind="merged_model",
                path=from_folder(target, folder),
                manifest=from_folder(target / "manifest.json", folder),
                certificate=from_folder(target / "certificate.json", folder) if certificate else None,
            )
        ],
        metrics={
            "adapter_effect": Metric(value=effect, n=len(tally.effects), signature="max |dW|/|W| per tensor")
        },
        details={
            "path": str(target),
            "tensors": len(base.entries),
            "changed": tally.changed,
            "untied": untied,
        },
    )


def _check_base(adapter: Adapter, model: ModelFolder) -> None:
    """Where the adapter recorded the fingerprint of its base, this is that base."""
    record = read_base_record(adapter.folder)
    if record is None or not record.fingerprint:
        return
    # A template may have been changed for the merged model on purpose; weights and vocabulary may not.
    told = {part: value for part, value in record.fingerprint.items() if part in _BASE_PARTS}
    found = {"weights": weights_hash(model), "tokenizer": tokenizer_hash(model)}
    if parts := differing_parts(told, found):
        problems = [text("export.reason.fingerprint", part=part) for part in parts]
        raise AdapterMismatch(path=str(adapter.folder), count=len(parts), problems=problems)


def _prepare(adapter: Adapter, base: Checkpoint, model: ModelFolder) -> tuple[bool, dict[str, list[Extra]]]:
    """Plan every change. The result says whether two layers that share a tensor part, and by shard which
    tensor has to be written for it.
    """
    reasons = []
    if model.config.get("quantization_config") or any(e.dtype not in DTYPES for e in base.entries.values()):
        reasons.append(text("export.reason.quantised_base", path=model.path))
    embedding = next((name for name in base.entries if name.endswith(_EMBEDDING)), None)
    tied = model.tied and embedding is not None
    plan_changes(adapter, base, tied=tied)
    parts = tied and not {_HEAD, embedding}.isdisjoint(adapter.changes)
    if parts and adapter.config.get("ensure_weight_tying"):
        reasons.append(text("export.reason.setting", name="ensure_weight_tying"))
    if reasons:
        raise NotMergeable(path=str(adapter.folder), reasons=reasons)
    if not adapter.changes:
        raise NoEffect(path=str(adapter.folder), reason=text("export.reason.no_tensors"))
    # The adapter trained one of two layers that share a tensor: from here on each has its own.
    if not parts or embedding is None or _HEAD in base.entries:
        return parts, {}
    source = base.entries[embedding]
    return parts, {source.path.name: [Extra(_HEAD, source)]}


def _write_weights(
    adapter: Adapter, base: Checkpoint, target: Path, extras: dict[str, list[Extra]], emit: Emit
) -> Tally:
    tally = Tally()
    steps = Steps(emit, len(base.entries), base.size_bytes)
    embedding = next((name for name in base.entries if name.endswith(_EMBEDDING)), "")

    def make(name: str) -> memoryview | None:
        change = adapter.changes.get(name)
        if change is None:
            return None
        merged = merge_tensor(base, name if name in base.entries else embedding, adapter, change)
        tally.used.add(name)
        tally.effects[name] = merged.effect
        tally.changed += merged.changed
        return merged.content

    def done(name: str) -> None:
        if name in base.entries:
            steps.done(name, base.entries[name].size_bytes)

    for shard in base.shards:
        write_shard(shard, target / shard.path.name, make, extras.get(shard.path.name, []), done)
    assert tally.used == set(adapter.changes), "every planned change is made exactly once"
    if not tally.changed:
        raise NoEffect(path=str(adapter.folder), reason=text("export.reason.all_equal"))
    return tally


def _copy_files(base: Path, adapter: Path, target: Path, *, untied: bool) -> None:
    """Everything beside the weights comes from the base; the tokenizer and template from the adapter where
    it has its own and the vocabulary is the base's.
    """
    for file in sorted(base.iterdir()):
        if file.is_file() and file.name not in _NOT_COPIED and not file.name.endswith(_WEIGHT_ENDINGS):
            shutil.copyfile(file, target / file.name)
    if _same_vocabulary(base / "tokenizer.json", adapter / "tokenizer.json"):
        for name in _TOKENIZER_FILES:
            if (adapter / name).is_file():
                shutil.copyfile(adapter / name, target / name)
    if untied:
        config = read_json(target / "config.json")
        config["tie_word_embeddings"] = False
        if isinstance(config.get("text_config"), dict):
            config["text_config"]["tie_word_embeddings"] = False
        write_json(target / "config.json", config)


def _same_vocabulary(first: Path, second: Path) -> bool:
    if not (first.is_file() and second.is_file()):
        return False
    one, two = read_json(first), read_json(second)
    return bool(
        one["model"].get("vocab") == two["model"].get("vocab")
        and [t["content"] for t in one.get("added_tokens", [])]
        == [t["content"] for t in two.get("added_tokens", [])]
    )


def _record(adapter: Adapter, base: Path, tally: Tally) -> dict[str, Any]:
    """What was merged into what; its presence also marks the folder as one that a later merge may replace."""
    return {
        "schema": 1,
        "base": base.name,
        "adapter": {"name": adapter.folder.name, "sha256": sha256_file(adapter.tensors.shards[0].path)},
        "changed": tally.changed,
        "effects": tally.effects,
        "tools": {"mozhu": version("mozhu")},
    }
