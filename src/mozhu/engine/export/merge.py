"""``mozhu merge``: one whole model out of a base and its adapter, block by block.

Memory holds a few blocks, never a tensor, never the model. The result is the same to the last bit as PEFT's
``merge_and_unload`` followed by ``save_pretrained``, and has the base's shards unless others are asked for.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mozhu.engine.export.adapter import Adapter, open_adapter
from mozhu.engine.export.certify import certify
from mozhu.engine.export.checkpoint import Checkpoint, open_checkpoint
from mozhu.engine.export.edits import DTYPES
from mozhu.engine.export.merge_record import CONVERT_RECORD, MERGE_RECORD
from mozhu.engine.export.names import BaseNames
from mozhu.engine.export.plan import Change, plan_changes
from mozhu.engine.export.shards import NewShard, NewTensor, cut_shards, index_of, same_shard
from mozhu.engine.export.staging import staging_folder
from mozhu.engine.export.steps import Steps
from mozhu.engine.export.stream import PROGRESS, Tally, Work, write_weights
from mozhu.engine.export.targets import check_folder_target, check_space, from_folder, resolved
from mozhu.engine.export.trained_on import quantised_base, trained_on
from mozhu.engine.weights.base_record import BASE_RECORD, read_base_record
from mozhu.engine.weights.fingerprint import (
    QUICK,
    differing_parts,
    quick_differences,
    tokenizer_hash,
    weights_hash,
)
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.headers import TensorInfo
from mozhu.engine.weights.references import find_model
from mozhu.engine.weights.shards import INDEX
from mozhu.kernel.errors import (
    AdapterMismatch,
    NoAdapter,
    NoEffect,
    NotMergeable,
    SumNotPossible,
)
from mozhu.kernel.files import make_folder, read_json, sha256_file, sha256_json, take_place, write_json
from mozhu.kernel.progress import Emit
from mozhu.kernel.sizes import parse_size
from mozhu.kernel.texts import text
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.manifest import NOT_LISTED, make_manifest
from mozhu.specs.records.result import Artefact, Metric, Outcome
from mozhu.specs.records.sidecars import ABOUT

_BASE_PARTS = ("weights", "tokenizer")
# Never copied from the base: its weights, and records that speak about the base and not about the result.
_NOT_COPIED = {*NOT_LISTED, *ABOUT, MERGE_RECORD, CONVERT_RECORD, BASE_RECORD}
_WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx", ".gguf", ".index.json")
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
)
_METADATA = {"format": "pt"}


@dataclass(frozen=True)
class Inputs:
    """What is merged. ``adapters`` come with their weights; the first one's tokenizer and template count."""

    model: ModelFolder
    base: Checkpoint
    adapters: list[tuple[Adapter, float]]

    @property
    def adapter(self) -> Adapter:
        return self.adapters[0][0]


@dataclass(frozen=True)
class Planned:
    """What will be made. ``untied``: two layers that shared a tensor part."""

    shards: list[NewShard]
    sources: dict[str, TensorInfo]
    changes: dict[str, list[Change]]
    untied: bool


def run_merge(spec: MergeSpec, folder: Path, emit: Emit) -> Outcome:
    """Write the merged model to ``spec.output_path`` and say what was changed by how much.

    ``folder`` is the run's folder: a relative ``output_path`` starts where the user stands, not there. A merge that
    was killed leaves its finished shards beside the target; the same merge takes them and goes on.

    Raises:
        NoAdapter, NotMergeable, NoEffect, AdapterMismatch: EXPORT-001 to 004. CertificateFailed: EXPORT-005.
        SumNotPossible: EXPORT-031. MergeBusy: EXPORT-030. TargetExists: FILE-007. DiskFull: FILE-003. In every case
        the old target, if any, stands as it was.
    """
    inputs, target = _open(spec)
    planned = _plan(inputs, spec)
    check_space(target, sum(shard.size_bytes for shard in planned.shards))
    work = Work(
        planned.shards,
        planned.sources,
        planned.changes,
        parse_size(spec.memory),
        _identity(inputs, spec),
    )
    with staging_folder(target, "merging") as staging:
        steps = Steps(emit, len(planned.sources), sum(shard.size_bytes for shard in planned.shards))
        tally = write_weights(work, staging, steps)
        if not tally.changed:
            raise NoEffect(path=str(inputs.adapter.folder), reason=text("export.reason.all_equal"))
        certificate = _finish(spec, inputs, planned, tally, staging, target, emit)
        make_folder(target.parent)
        take_place(staging, target)
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
            "adapter_effect": Metric(
                value=max(tally.effects.values()), n=len(tally.effects), signature="max |dW|/|W| per tensor"
            )
        },
        details={
            "path": str(target),
            "tensors": len(planned.sources),
            "changed": tally.changed,
            "untied": planned.untied,
            "reused_shards": tally.reused,
        },
    )


def _open(spec: MergeSpec) -> tuple[Inputs, Path]:
    found = find_model(spec.adapter, base=spec.base_model)
    if found.adapter is None:
        raise NoAdapter(path=str(found.path))
    folders = [found.adapter]
    for ref in spec.more_adapters:
        other = find_model(ref, base=str(found.base))
        if other.adapter is None:
            raise NoAdapter(path=str(other.path))
        folders.append(other.adapter)
    adapters = [open_adapter(path) for path in folders]
    model = ModelFolder.open(found.base)
    target = resolved(spec.output_path)
    check_folder_target(target, mark=MERGE_RECORD, inputs=[model.path, *folders], overwrite=spec.overwrite)
    for adapter in adapters:
        _check_base(adapter, model)
    weights = spec.weights or (1.0,) * len(adapters)
    return Inputs(model, open_checkpoint(model.shards), list(zip(adapters, weights, strict=True))), target


def _finish(
    spec: MergeSpec,
    inputs: Inputs,
    planned: Planned,
    tally: Tally,
    staging: Path,
    target: Path,
    emit: Emit,
) -> Any:
    """Everything beside the weights; the certificate, where one was made."""
    model, adapter = inputs.model, inputs.adapter
    _write_index(model.path, staging, planned.shards, anew=spec.max_shard_size is not None)
    _copy_files(model.path, adapter.folder, staging, untied=planned.untied)
    write_json(staging / MERGE_RECORD, _record(inputs, tally))
    (first, weight), *others = inputs.adapters
    several = [(other.folder, share) for other, share in others]
    weighted: dict[str, Any] = {"weight": weight, "more": several} if several or weight != 1.0 else {}
    certificate = certify(
        "certify_merge",
        staging,
        model.path,
        first.folder,
        staging,
        None,
        target=target,
        emit=emit,
        **weighted,
    )
    (staging / PROGRESS).unlink()
    make_manifest(staging, known=tally.sha256).write(staging / "manifest.json")
    return certificate


def _identity(inputs: Inputs, spec: MergeSpec) -> str:
    """Equal for the same inputs and the same wishes: then an earlier merge's shards are this one's."""
    base = [
        (shard.path.name, stat.st_size, stat.st_mtime_ns)
        for shard in inputs.base.shards
        for stat in [shard.path.stat()]
    ]
    adapters = [
        (sha256_json(adapter.config), [sha256_file(shard.path) for shard in adapter.tensors.shards], weight)
        for adapter, weight in inputs.adapters
    ]
    told = [str(inputs.model.path), base, adapters, spec.max_shard_size, version("mozhu")]
    return sha256_json(told)


def _check_base(adapter: Adapter, model: ModelFolder) -> None:
    """Where the adapter recorded the fingerprint of its base, this is that base."""
    record = read_base_record(adapter.folder)
    if record is None or not record.fingerprint:
        return
    # A template may have been changed for the merged model on purpose; weights and vocabulary may not. Packed weights
    # differ from those of the original that they were made from.
    packed = quantised_base(adapter)
    counting = ("tokenizer",) if packed and packed.resolve() != model.path.resolve() else _BASE_PARTS
    told = {part: value for part, value in record.fingerprint.items() if part in counting}
    quick = {**told, **{part: record.fingerprint[part] for part in QUICK if part in record.fingerprint}}
    if "weights" in told and (parts := [p for p in quick_differences(quick, model) if p in counting]):
        problems = [text("export.reason.fingerprint", part=part) for part in parts]
        raise AdapterMismatch(path=str(adapter.folder), count=len(parts), problems=problems)
    found = {"weights": weights_hash(model) if "weights" in told else "", "tokenizer": tokenizer_hash(model)}
    if parts := differing_parts(told, found):
        problems = [text("export.reason.fingerprint", part=part) for part in parts]
        raise AdapterMismatch(path=str(adapter.folder), count=len(parts), problems=problems)


def _plan(inputs: Inputs, spec: MergeSpec) -> Planned:
    """Every change, and where it goes.

    Raises:
        NotMergeable, NoEffect, AdapterMismatch: EXPORT-002 to 004. SumNotPossible: EXPORT-031.
    """
    model, base, adapter = inputs.model, inputs.base, inputs.adapter
    if model.config.get("quantization_config"):
        reason = text("export.reason.quantised_base", path=model.path)
        raise NotMergeable(path=str(adapter.folder), reasons=[reason])
    names = BaseNames(base, tied=model.tied)
    changes = _gathered(inputs, names, model.family)
    sources = {name: base.entries[name] for name in base.entries}
    untied = _parts(names, changes, adapter)
    if untied and names.head and names.head not in sources:
        sources[names.head] = base.entries[names.embedding or ""]
    _check_types(adapter, changes, sources)
    return Planned(_shards(base, sources, spec.max_shard_size), sources, changes, untied)


def _gathered(inputs: Inputs, names: BaseNames, family: str) -> dict[str, list[Change]]:
    gathered: dict[str, list[Change]] = {}
    for adapter, weight in inputs.adapters:
        for name, change in plan_changes(adapter, names, family).items():
            gathered.setdefault(name, []).append(change.weighed(weight))
    if not gathered:
        raise NoEffect(path=str(inputs.adapter.folder), reason=text("export.reason.no_tensors"))
    if len(inputs.adapters) > 1 or inputs.adapters[0][1] != 1.0:
        kinds = {
            "dora" if change.magnitude else change.kind
            for changes in gathered.values()
            for change in changes
            if change.kind != "lora" or change.magnitude or change.start
        }
        if kinds:
            raise SumNotPossible(kinds=sorted(kinds))
    return gathered


def _parts(names: BaseNames, changes: dict[str, list[Change]], adapter: Adapter) -> bool:
    """Whether the adapter parts two layers that share a tensor: it trained one of them, or each in its own way.

    Tokens are trained in both at once, and so is everything with ``ensure_weight_tying``.
    """
    if not names.tied or names.embedding is None or names.head is None:
        return False
    inside = {name: changes[name][0] for name in (names.embedding, names.head) if name in changes}
    if not inside:
        return False
    together = adapter.config.get("ensure_weight_tying") or {c.kind for c in inside.values()} == {"tokens"}
    if not together:
        return True
    change = inside.get(names.embedding) or inside[names.head]
    changes.pop(names.head, None)
    changes[names.embedding] = [change.moved(names.embedding)]
    if names.head in names.base.entries:
        changes[names.head] = [change.moved(names.head)]
    return False


def _check_types(adapter: Adapter, changes: dict[str, list[Change]], sources: dict[str, TensorInfo]) -> None:
    """Every tensor that changes is of a floating-point type."""
    packed = [name for name in changes if sources[name].dtype not in DTYPES]
    if packed:
        reasons = [
            text("export.reason.packed", tensor=name, dtype=sources[name].dtype) for name in packed[:8]
        ]
        raise NotMergeable(path=str(adapter.folder), reasons=reasons)


def _shards(base: Checkpoint, sources: dict[str, TensorInfo], limit: str | None) -> list[NewShard]:
    """The base's files, with a new tensor beside the one it comes from; or files of at most ``limit``."""
    new = [name for name in sources if name not in base.entries]
    if limit is not None:
        tensors = [NewTensor(name, info.dtype, info.shape) for name, info in sources.items()]
        return cut_shards(tensors, parse_size(limit), _METADATA)
    shards = []
    for shard in base.shards:
        names = [entry.name for entry in shard.entries]
        names += [name for name in new if sources[name].path == shard.path]
        shards.append(same_shard(shard, [NewTensor(n, sources[n].dtype, sources[n].shape) for n in names]))
    return shards


def _write_index(base: Path, target: Path, shards: list[NewShard], *, anew: bool) -> None:
    """The index where there are several files; where nothing was added, the base's very words."""
    old: dict[str, Any] = read_json(base / INDEX) if (base / INDEX).is_file() else {}
    if not old and len(shards) == 1 or anew and len(shards) == 1:
        return
    made = index_of(shards, old.get("metadata"))
    same = not anew and old.get("weight_map") == made["weight_map"]
    write_json(target / INDEX, old if same else made)


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


def _record(inputs: Inputs, tally: Tally) -> dict[str, Any]:
    """What was merged into what; its presence also marks the folder as one that a later merge may replace."""
    adapters = [
        {
            "name": adapter.folder.name,
            "sha256": sha256_file(adapter.tensors.shards[0].path),
            "weight": weight,
            "trained_on": trained_on(adapter),
        }
        for adapter, weight in inputs.adapters
    ]
    return {
        "schema": 1,
        "base": inputs.model.path.name,
        "adapter": adapters[0],
        "more_adapters": adapters[1:],
        "changed": tally.changed,
        "effects": tally.effects,
        "tools": {"mozhu": version("mozhu")},
    }
