"""``mozhu merge``: one whole model out of a base and its adapter, block by block.

Memory holds a few blocks, never a tensor, never the model. The result is the same to the last bit as PEFT's
``merge_and_unload`` followed by ``save_pretrained``, and has the base's shards unless others are asked for.
"""

from __future__ import annotations

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mozhu.engine.export.certify import certify
from mozhu.engine.export.merge_plan import (
    Inputs,
    Planned,
    check_whole,
    files_beside,
    has_index,
    open_inputs,
    plan_merge,
)
from mozhu.engine.export.merge_record import MERGE_RECORD
from mozhu.engine.export.shards import NewShard, index_of
from mozhu.engine.export.staging import staging_folder
from mozhu.engine.export.steps import Steps
from mozhu.engine.export.tally import PROGRESS, Tally, Work
from mozhu.engine.export.targets import check_space, from_folder
from mozhu.engine.export.trained_on import trained_on
from mozhu.engine.weights.shards import INDEX
from mozhu.kernel.errors import NoEffect
from mozhu.kernel.files import make_folder, read_json, sha256_file, sha256_json, take_place, write_json
from mozhu.kernel.progress import Emit
from mozhu.kernel.sizes import parse_size
from mozhu.kernel.slots import load
from mozhu.kernel.texts import text
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.manifest import make_manifest
from mozhu.specs.records.result import Artefact, Metric, Outcome


def run_merge(spec: MergeSpec, folder: Path, emit: Emit) -> Outcome:
    """Write the merged model to ``spec.output_path`` and say what was changed by how much.

    ``folder`` is the run's folder: a relative ``output_path`` starts where the user stands, not there. A merge that
    was killed leaves its finished shards beside the target; the same merge takes them and goes on.

    Raises:
        NoAdapter, NotMergeable, NoEffect, AdapterMismatch: EXPORT-001 to 004. CertificateFailed: EXPORT-005.
        SumNotPossible: EXPORT-031. MergeBusy: EXPORT-030. TargetExists: FILE-007. DiskFull: FILE-003. In every case
        the old target, if any, stands as it was.
    """
    inputs = open_inputs(spec)
    planned, target = plan_merge(inputs, spec), inputs.target
    check_space(target, planned.size_bytes)
    check_whole(inputs)
    identity = _identity(inputs, spec)
    work = Work(planned.shards, planned.sources, planned.changes, parse_size(spec.memory), identity)
    with staging_folder(target, "merging") as staging:
        write = load("mozhu.rooms", "write_weights")  # before the clock of the steps runs: it takes a while
        tally: Tally = write(work, staging, Steps(emit, len(planned.sources), planned.size_bytes))
        if not tally.changed:
            raise NoEffect(path=str(inputs.adapter.folder), reason=text("export.reason.all_equal"))
        certificate = _finish(spec, inputs, planned, tally, staging, emit)
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


def _finish(
    spec: MergeSpec,
    inputs: Inputs,
    planned: Planned,
    tally: Tally,
    staging: Path,
    emit: Emit,
) -> Any:
    """Everything beside the weights; the certificate, where one was made."""
    model = inputs.model
    _write_index(model.path, staging, planned.shards, anew=spec.max_shard_size is not None)
    _copy_files(inputs, staging, untied=planned.untied)
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
        target=inputs.target,
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


def _write_index(base: Path, target: Path, shards: list[NewShard], *, anew: bool) -> None:
    """The index where there are several files; where nothing was added, the base's very words."""
    if not has_index(base, shards, anew=anew):
        return
    old: dict[str, Any] = read_json(base / INDEX) if (base / INDEX).is_file() else {}
    made = index_of(shards, old.get("metadata"))
    same = not anew and old.get("weight_map") == made["weight_map"]
    write_json(target / INDEX, old if same else made)


def _copy_files(inputs: Inputs, target: Path, *, untied: bool) -> None:
    for name, path in files_beside(inputs).items():
        shutil.copyfile(path, target / name)
    if untied:
        config = read_json(target / "config.json")
        config["tie_word_embeddings"] = False
        if isinstance(config.get("text_config"), dict):
            config["text_config"]["tie_word_embeddings"] = False
        write_json(target / "config.json", config)


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
