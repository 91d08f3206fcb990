"""``mozhu convert --format safetensors``: the same model in other files, in another type of numbers, or out of pickles.

Memory holds a few blocks, never a tensor. What neither moves nor changes is copied by the system; a conversion that
was stopped takes its finished files and goes on.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mozhu.engine.export.certify import certify
from mozhu.engine.export.checkpoint import NUMPY_KINDS, Checkpoint, open_checkpoint
from mozhu.engine.export.handed_in import Source, open_safe, opened
from mozhu.engine.export.merge_record import CONVERT_RECORD, MERGE_RECORD
from mozhu.engine.export.shards import NewShard, NewTensor, cut_shards, index_of, same_shard
from mozhu.engine.export.staging import staging_folder
from mozhu.engine.export.steps import Steps
from mozhu.engine.export.tally import PROGRESS, Tally, Work
from mozhu.engine.export.targets import check_folder_target, check_space, from_folder, resolved
from mozhu.engine.weights.folder import CONFIG, ModelFolder
from mozhu.engine.weights.headers import NAME_OF_DTYPE, TensorInfo, read_metadata
from mozhu.engine.weights.shards import ADAPTER_WEIGHTS, INDEX
from mozhu.kernel.errors import NotConvertible
from mozhu.kernel.files import make_folder, read_json, sha256_json, take_place, write_json
from mozhu.kernel.paths import check_name
from mozhu.kernel.progress import Emit
from mozhu.kernel.sizes import parse_size
from mozhu.kernel.slots import load
from mozhu.kernel.texts import text
from mozhu.specs.export import ConvertSpec
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.manifest import NOT_LISTED, make_manifest
from mozhu.specs.records.result import Artefact, Outcome
from mozhu.specs.records.sidecars import ABOUT

_CODES = {name: code for code, name in NAME_OF_DTYPE.items()}
_BUDGET_BYTES = 1 << 30
_NOT_COPIED = {*NOT_LISTED, *ABOUT, MERGE_RECORD, CONVERT_RECORD}
_WEIGHT_ENDINGS = (
    ".safetensors",
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".h5",
    ".msgpack",
    ".onnx",
    ".gguf",
    ".index.json",
)
_DTYPE_KEYS = ("dtype", "torch_dtype")


@dataclass(frozen=True)
class ResavePlan:
    """``tensors`` are the source's, ``beside`` what is copied as it stands, ``certificate`` the kind of it."""

    target: Path
    shards: list[NewShard]
    tensors: dict[str, TensorInfo]
    beside: dict[str, Path]
    certificate: str

    @property
    def size_bytes(self) -> int:
        return sum(shard.size_bytes for shard in self.shards)


def run_resave(spec: ConvertSpec, folder: Path, emit: Emit) -> Outcome:
    """Write the model anew and prove that it is the same one.

    Raises:
        NotConvertible: EXPORT-034. CertificateFailed: EXPORT-005. MergeBusy: EXPORT-030. OutputInsideInput:
        EXPORT-007. TargetExists: FILE-007. DiskFull: FILE-003. What the model raises when it is opened. In every
        case the old target, if any, stands as it was.
    """
    with opened(spec.model, folder, emit) as source:
        plan = _plan(spec, source)
        told = [source.stamps, spec.max_shard_size, spec.dtype, version("mozhu")]
        work = Work(plan.shards, plan.tensors, {}, _BUDGET_BYTES, sha256_json(told))
        with staging_folder(plan.target, "converting") as staging:
            write = load("mozhu.rooms", "write_weights")  # before the clock of the steps runs
            tally: Tally = write(work, staging, Steps(emit, len(plan.tensors), plan.size_bytes))
            certificate = _finish(spec, source, plan, tally, staging, emit)
            make_folder(plan.target.parent)
            take_place(staging, plan.target)
    return _outcome(source, plan, tally, folder, certified=certificate is not None)


def plan_resave(spec: ConvertSpec) -> ResavePlan:
    """What would be written of a model, an adapter or weights that are safetensors already; no weight is read.

    Raises:
        What :func:`run_resave` raises, but for what reading and measuring the weights brings.
    """
    return _plan(spec, open_safe(spec.model))


def resave_target(spec: ConvertSpec, path: Path) -> Path:
    """The folder that is written for the model at ``path``."""
    name = check_name(spec.model_name or path.resolve().stem)
    if spec.output_path is not None:
        return resolved(spec.output_path)
    return path.resolve().parent / "safetensors" / (f"{name}-{spec.dtype}" if spec.dtype else name)


def _plan(spec: ConvertSpec, source: Source) -> ResavePlan:
    target = resave_target(spec, source.path)
    check_folder_target(target, mark=CONVERT_RECORD, inputs=_inputs(source), overwrite=spec.overwrite)
    checkpoint = open_checkpoint(source.files)
    kind = "conversion" if _answers(source) else "weights"
    plan = ResavePlan(target, _planned(spec, source, checkpoint), checkpoint.entries, _beside(source), kind)
    check_space(target, plan.size_bytes)
    return plan


def _inputs(source: Source) -> list[Path]:
    """What the output may not lie in: the model's own folder; of weights alone nothing but themselves."""
    if source.pickles:
        return [source.path]
    return [source.home] if source.model is not None else list(source.files)


def _planned(spec: ConvertSpec, source: Source, checkpoint: Checkpoint) -> list[NewShard]:
    """The files to be.

    Raises:
        NotConvertible: EXPORT-034.
    """
    adapter = source.model is not None and source.model.kind == "adapter"
    if adapter and spec.max_shard_size is not None:
        raise NotConvertible(path=str(source.path), reason=text("export.reason.adapter_shards"))
    packed = source.model is not None and bool(source.model.config.get("quantization_config"))
    code = _CODES[spec.dtype] if spec.dtype else None

    def new(info: TensorInfo) -> NewTensor:
        if code is None:
            return NewTensor(info.name, info.dtype, info.shape)
        odd = info.dtype.startswith("F8") or (packed and info.dtype not in NUMPY_KINDS)
        if odd:
            reason = text("export.reason.packed_dtype", tensor=info.name, dtype=info.dtype)
            raise NotConvertible(path=str(source.path), reason=reason)
        return NewTensor(info.name, code if info.dtype in NUMPY_KINDS else info.dtype, info.shape)

    if spec.max_shard_size is not None:
        tensors = [new(info) for info in checkpoint.entries.values()]
        metadata = {"format": "pt", **read_metadata(source.files[0])}
        return cut_shards(tensors, parse_size(spec.max_shard_size), metadata)
    shards = [same_shard(shard, [new(info) for info in shard.entries]) for shard in checkpoint.shards]
    if adapter:
        return [replace(shards[0], name=ADAPTER_WEIGHTS)]
    return shards


def _finish(
    spec: ConvertSpec,
    source: Source,
    plan: ResavePlan,
    tally: Tally,
    staging: Path,
    emit: Emit,
) -> Certificate | None:
    """Everything beside the weights, and the certificate."""
    _write_index(source, staging, plan.shards)
    _copy_files(plan.beside, staging, spec.dtype)
    write_json(
        staging / CONVERT_RECORD,
        {
            "schema": 1,
            "model": source.path.name,
            "format": "safetensors",
            "max_shard_size": spec.max_shard_size,
            "dtype": spec.dtype,
            "pickles": [path.name for path in source.pickles],
            "tools": {"mozhu": version("mozhu")},
        },
    )
    certificate = _certified(source, plan, staging, emit)
    (staging / PROGRESS).unlink()
    make_manifest(staging, known=tally.sha256).write(staging / "manifest.json")
    return certificate


def _certified(source: Source, plan: ResavePlan, staging: Path, emit: Emit) -> Certificate | None:
    """By what the model says, where it can be asked; else by its tensors alone."""
    made_from = source.made_from(staging)

    def told(certificate: Certificate) -> Certificate:
        proof = source.proof.check("tensors_equal") if source.proof else None
        known = {check.name for check in certificate.checks}
        more = [proof] if proof is not None and proof.name not in known else []
        checks = [*certificate.checks, *more]
        return certificate.model_copy(
            update={
                "made_from": made_from,
                "checks": checks,
                "passed": bool(checks) and all(check.ok for check in checks),
            }
        ).sealed()

    target = plan.target
    if source.found is not None and plan.certificate == "conversion":
        # The copy of an adapter stands on the same base.
        adapter = None if source.found.adapter is None else staging
        copy = replace(
            source.found, path=staging, adapter=adapter, base=source.found.base if adapter else staging
        )
        return certify("certify_conversion", staging, source.found, copy, target=target, emit=emit, told=told)
    files = [staging / shard.name for shard in plan.shards]
    return certify(
        "certify_weights",
        staging,
        source.files,
        files,
        staging,
        made_from,
        target=target,
        emit=emit,
        told=told,
    )


def _answers(source: Source) -> bool:
    """Whether the model can be loaded and spoken to: whole, with a tokenizer and a template, not packed."""
    model, found = source.model, source.found
    if model is None or found is None or found.base == found.adapter:
        return False
    whole = model if model.kind == "model" else ModelFolder.open(found.base)
    return (
        whole.has_tokenizer
        and whole.template is not None
        and not whole.is_vision
        and not whole.config.get("quantization_config")
    )


def _write_index(source: Source, staging: Path, shards: list[NewShard]) -> None:
    if len(shards) == 1:
        return
    place = source.home / INDEX
    old: dict[str, Any] = read_json(place) if place.is_file() else {}
    write_json(staging / INDEX, index_of(shards, old.get("metadata")))


def _beside(source: Source) -> dict[str, Path]:
    """Everything beside the weights of a model or an adapter, by its name."""
    if source.model is None:
        return {}
    return {
        file.name: file
        for file in sorted(source.home.iterdir())
        if file.is_file() and file.name not in _NOT_COPIED and not file.name.endswith(_WEIGHT_ENDINGS)
    }


def _copy_files(beside: dict[str, Path], staging: Path, dtype: str | None) -> None:
    """Everything beside the weights; the configuration says the new type."""
    for name, path in beside.items():
        shutil.copyfile(path, staging / name)
    if dtype is None or not (staging / CONFIG).is_file():
        return
    config = read_json(staging / CONFIG)
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    named = [(part, key) for part in parts for key in _DTYPE_KEYS if isinstance(part.get(key), str)]
    for part, key in named or [(config, "dtype")]:
        part[key] = dtype
    write_json(staging / CONFIG, config)


def _outcome(source: Source, plan: ResavePlan, tally: Tally, folder: Path, *, certified: bool) -> Outcome:
    kind, target, shards = "weights" if source.model is None else source.model.kind, plan.target, plan.shards
    artefact = Artefact(
        kind=kind,
        path=from_folder(target, folder),
        manifest=from_folder(target / "manifest.json", folder),
        certificate=from_folder(target / "certificate.json", folder) if certified else None,
    )
    details = {
        "path": str(target),
        "files": [shard.name for shard in shards],
        "tensors": sum(len(shard.places) for shard in shards),
        "size_bytes": plan.size_bytes,
        "pickles": [path.name for path in source.pickles],
        "reused_shards": tally.reused,
    }
    return Outcome(artefacts=[artefact], details=details)
