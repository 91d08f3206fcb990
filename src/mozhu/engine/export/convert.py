"""``mozhu convert``: a GGUF file, with a Modelfile on request, out of a model folder; or safetensors anew."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mozhu.engine.export.certify import ROOMS, certify
from mozhu.engine.export.gguf.readback import check_gguf
from mozhu.engine.export.gguf.tensors import mix_of
from mozhu.engine.export.gguf.write import GgufPlan, plan_gguf, write_gguf
from mozhu.engine.export.merge_record import CONVERT_RECORD, MERGE_RECORD
from mozhu.engine.export.modelfile import make_modelfile
from mozhu.engine.export.targets import check_folder_target, check_space, from_folder, resolved
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import find_model
from mozhu.engine.weights.shards import ADAPTER_WEIGHTS
from mozhu.kernel.errors import MergeFirst, TargetExists
from mozhu.kernel.files import (
    make_folder,
    read_json,
    replacing_folder,
    sha256_file,
    write_json,
    write_text,
    writing,
)
from mozhu.kernel.paths import check_name
from mozhu.kernel.progress import Emit
from mozhu.kernel.slots import load
from mozhu.specs.export import ConvertSpec
from mozhu.specs.records.manifest import make_manifest
from mozhu.specs.records.result import Artefact, Outcome

MODELFILE = "Modelfile"


@dataclass(frozen=True)
class Target:
    """``folder`` is the artefact's own and replaced whole; or, with ``shared``, one that holds other files
    too, where each of ours begins with the file's name.
    """

    folder: Path
    stem: str
    shared: bool

    @property
    def file(self) -> str:
        return f"{self.stem}.gguf"

    def named(self, record: str) -> str:
        return f"{self.stem}.{record}" if self.shared else record


def run_convert(spec: ConvertSpec, folder: Path, emit: Emit) -> Outcome:
    """Write the file and say of which types it really is; safetensors are :mod:`mozhu.engine.export.resave`'s.

    Raises:
        MergeFirst: EXPORT-006 for an adapter. UnsupportedFamily, UnsupportedModelSetting,
        UnsupportedTokenizer: EXPORT-008 to 010. ReadBackFailed: EXPORT-011. CertificateFailed: EXPORT-005.
        TargetExists: FILE-007. DiskFull: FILE-003. In every case the old file, if any, stands as it was.
    """
    if spec.format == "safetensors":
        resaved: Outcome = load(ROOMS, "resave")(spec, folder, emit)
        return resaved
    target, plan, modelfile = plan_convert(spec)
    model = plan.model
    narrowed: dict[str, object] = {}
    with _building(target) as temporary:
        path = temporary / target.file
        with writing(path):
            write_gguf(plan, path, emit, narrowed.__setitem__)
        check_gguf(path, plan, shown_path=target.folder / target.file)
        if modelfile is not None:
            write_text(temporary / target.named(MODELFILE), modelfile)
        certificate = certify(
            "certify_gguf",
            temporary,
            model.path,
            path,
            spec.quantization,
            None,
            target=target.folder,
            emit=emit,
        )
        write_json(temporary / target.named(CONVERT_RECORD), _record(plan, narrowed))
        manifest = make_manifest(temporary)
        manifest.write(temporary / target.named("manifest.json"))
        if certificate is not None and target.shared:
            os.replace(temporary / "certificate.json", temporary / target.named("certificate.json"))
    for value in narrowed.values():
        emit("finding", level="warning", code="EXPORT-015", params={"value": value})
    files = (certificate is not None, modelfile is not None)
    return _outcome(target, folder, plan, narrowed, certified=files[0], modelfile=files[1])


def plan_convert(spec: ConvertSpec) -> tuple[Target, GgufPlan, str | None]:
    """Where the GGUF file goes, what it will hold, and its Modelfile where one is asked for; no weight is read.

    Raises:
        What :func:`run_convert` raises, but for what reading and measuring the weights brings.
    """
    model = _whole_model(spec)
    name = check_name(spec.model_name or model.path.resolve().name)
    target = choose_target(spec, model.path, name)
    _check_target(target, model.path, overwrite=spec.overwrite)
    plan = plan_gguf(model, spec.quantization, name)
    modelfile = _modelfile(spec, target, plan) if spec.create_modelfile else None
    check_space(target.folder, plan.size_bytes)
    return target, plan, modelfile


def choose_target(spec: ConvertSpec, model: Path, name: str) -> Target:
    """Where the file goes: as asked, else ``gguf/<name>-<quantization>/`` beside the model's folder."""
    stem = f"{name}-{spec.quantization}"
    if spec.output_path is None:
        return Target(model.resolve().parent / "gguf" / stem, stem, shared=False)
    path = resolved(spec.output_path)
    if path.suffix == ".gguf":
        return Target(path.parent, path.stem, shared=True)
    return Target(path, stem, shared=False)


def _whole_model(spec: ConvertSpec) -> ModelFolder:
    found = find_model(spec.model)
    if found.adapter is None:
        return ModelFolder.open(found.base)
    merged = found.adapter.parent / "merged_model"
    if not _is_merge_of(merged, found.adapter):
        raise MergeFirst(path=str(found.adapter), merged=str(merged))
    return ModelFolder.open(merged)


def _is_merge_of(merged: Path, adapter: Path) -> bool:
    """Whether ``merged`` was made from this adapter as it is now."""
    if not (merged / MERGE_RECORD).is_file():
        return False
    told = read_json(merged / MERGE_RECORD).get("adapter", {}).get("sha256")
    return bool(told == sha256_file(adapter / ADAPTER_WEIGHTS))


def _check_target(target: Target, model: Path, *, overwrite: bool) -> None:
    if not target.shared:
        check_folder_target(target.folder, mark=CONVERT_RECORD, inputs=[model], overwrite=overwrite)
        return
    made_here = (target.folder / target.named(CONVERT_RECORD)).is_file()
    if (target.folder / target.file).exists() and not (made_here or overwrite):
        raise TargetExists(path=str(target.folder / target.file))


def _modelfile(spec: ConvertSpec, target: Target, plan: GgufPlan) -> str:
    return make_modelfile(
        target.file,
        plan.name.lower(),
        stops=plan.vocab.stops.texts,
        system=spec.system,
        temperature=spec.temperature,
    )


@contextmanager
def _building(target: Target) -> Iterator[Path]:
    """A folder whose files take their places when the block ends well, the GGUF file last."""
    if not target.shared:
        with replacing_folder(target.folder) as temporary:
            yield temporary
        return
    make_folder(target.folder)
    temporary = target.folder / f".{target.stem}.{os.getpid()}.new"
    with writing(target.folder):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            for path in sorted(temporary.iterdir(), key=lambda path: path.name == target.file):
                os.replace(path, target.folder / path.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _record(plan: GgufPlan, narrowed: dict[str, object]) -> dict[str, Any]:
    """What was made of what; its presence also marks the folder as one that a later conversion may
    replace.
    """
    manifest = plan.model.path / "manifest.json"
    return {
        "schema": 1,
        "model": plan.model.path.name,
        "manifest": read_json(manifest).get("sha256") if manifest.is_file() else None,
        "quantization": plan.quantization,
        "types": mix_of(plan.tensors),
        "narrowed": narrowed,
        "tools": {name: version(name) for name in ("mozhu", "gguf", "xllamacpp")},
    }


def _outcome(
    target: Target,
    folder: Path,
    plan: GgufPlan,
    narrowed: dict[str, object],
    *,
    certified: bool,
    modelfile: bool,
) -> Outcome:
    path = target.folder / target.file
    size = path.stat().st_size
    weights = sum(plan_.size_bytes for plan_ in plan.tensors)
    count = plan.model.parameter_count
    details: dict[str, Any] = {
        "path": str(path),
        "size_bytes": size,
        "quantization": plan.quantization,
        "types": mix_of(plan.tensors),
        "bits_per_weight": round(8 * weights / count, 2) if count else 0.0,
        "pre_tokenizer": plan.vocab.pre,
        "stops": list(plan.vocab.stops.texts),
    }
    if narrowed:
        details["narrowed"] = narrowed
    if modelfile:
        details["modelfile"] = str(target.folder / target.named(MODELFILE))
    artefact = Artefact(
        kind="gguf",
        path=from_folder(path, folder),
        manifest=from_folder(target.folder / target.named("manifest.json"), folder),
        certificate=from_folder(target.folder / target.named("certificate.json"), folder)
        if certified
        else None,
    )
    return Outcome(artefacts=[artefact], details=details)
