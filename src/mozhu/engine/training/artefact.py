"""What surrounds trained weights: base record, sidecars of seed 000, manifest, certificate."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from mozhu import __version__
from mozhu.engine.training.engine import Trained
from mozhu.engine.weights.base_record import write_base_record
from mozhu.engine.weights.references import FoundModel
from mozhu.kernel import slots
from mozhu.kernel.files import folder_bytes, human_size
from mozhu.kernel.paths import parse_finetuned_name
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.dataset import dataset_title
from mozhu.specs.records.manifest import make_manifest
from mozhu.specs.records.result import Artefact
from mozhu.specs.records.sidecars import ModelInfo, write_sidecars
from mozhu.specs.train import TrainSpec


def finish_artefact(
    spec: TrainSpec,
    found: FoundModel,
    base_print: dict[str, str],
    trained: Trained,
    folder: Path,
    resolved: dict[str, Any],
    emit: Emit,
) -> Artefact:
    """Write base record, sidecars, manifest and certificate beside the weights; returns the artefact's record."""
    place = trained.folder
    if trained.kind == "adapter":
        write_base_record(place, spec.model, base_print)
    manifest = make_manifest(place)
    info = _model_info(spec, trained, folder, manifest.sha256)
    config = {**spec.model_dump(mode="json"), **resolved}
    write_sidecars(place, info, config=config, metrics=_metrics(trained), readme=_readme(spec, trained, info))
    make_manifest(place).write(place / "manifest.json")
    certificate = _certify(found, place, trained.kind, emit)
    relative = place.relative_to(folder).as_posix()
    return Artefact(
        kind=trained.kind,
        path=relative,
        manifest=f"{relative}/manifest.json",
        certificate=f"{relative}/certificate.json" if certificate else None,
    )


def _certify(found: FoundModel, place: Path, kind: str, emit: Emit) -> Certificate | None:
    """The certificate: it has an effect, its numbers are finite, it fits its base or is its base, changed."""
    name = {"adapter": "certify_adapter", "model": "certify_full"}.get(kind)
    if name is None:
        return None
    certify = slots.load("mozhu.rooms", name)
    certificate: Certificate = certify(found.base, place)
    certificate.write(place / "certificate.json")
    if not certificate.passed:
        failed = [check.name for check in certificate.checks if not check.ok]
        emit("finding", level="warning", code="TRAIN-036", params={"checks": ", ".join(failed)})
    return certificate


def _model_info(spec: TrainSpec, trained: Trained, folder: Path, checksum: str) -> ModelInfo:
    parsed = parse_finetuned_name(folder.name)
    dataset = dataset_title(spec.dataset)
    task = parsed["task"] if parsed else Path(dataset).stem.partition(":")[0]
    return ModelInfo(
        model_name=folder.name,
        base_model=spec.model,
        model_type=spec.train_type,
        task=task,
        version="v1",
        created_time=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        training_dataset=dataset,
        training_steps=trained.steps,
        performance={name: round(value, 6) for name, value in trained.metrics.items()},
        file_size=human_size(folder_bytes(trained.folder)),
        checksum=checksum,
        tags=[spec.train_type, spec.engine],
        description=text("train.description", base=spec.model, train_type=spec.train_type, dataset=dataset),
    )


def _metrics(trained: Trained) -> dict[str, Any]:
    return {**trained.metrics, "steps": trained.steps, **trained.facts, "mozhu": __version__}


def _readme(spec: TrainSpec, trained: Trained, info: ModelInfo) -> str:
    """The model card, Chinese first, with the lines that load it."""
    key = "train.card.adapter" if trained.kind == "adapter" else "train.card.model"
    return text(
        key,
        name=info.model_name,
        base=spec.model,
        dataset=info.training_dataset,
        steps=trained.steps,
        metrics=", ".join(f"{name} {value:.4f}" for name, value in trained.metrics.items()),
    )
