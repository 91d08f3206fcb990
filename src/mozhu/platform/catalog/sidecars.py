"""The sidecars of a version: seed 000's four files and ``registration.json``.

``registration.json`` holds what the four have no key for: when and by whom the version was registered.
Rows are rebuilt from these files alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pydantic import Field

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import finite, human_size, read_jsonl, read_text
from mozhu.kernel.paths import parse_finetuned_name
from mozhu.kernel.texts import text
from mozhu.platform.catalog.artefacts import (
    BASE,
    CERTIFICATE,
    USUAL_PLACES,
    Artefact,
    json_object,
)
from mozhu.platform.database.tables import LOCAL
from mozhu.specs.records.base import Record
from mozhu.specs.records.sidecars import REGISTRATION, SIDECARS, ModelInfo, write_sidecars

INFO, CONFIG_SIDECAR, METRICS_SIDECAR, README = SIDECARS
MODEL_TYPES = ("lora", "qlora", "full", "multimodal", "pretrained")


class Registration(Record):
    """``registration.json``: ``registered`` is UTC with milliseconds, ``source`` the path that was given.

    Of what was imported it says more: ``kind``, and ``recognised``, what the files were found to be.
    """

    registered: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
    owner: str = LOCAL
    team: str = LOCAL
    source: str = ""


@dataclass(frozen=True)
class Wishes:
    """What the caller said; ``None`` and empty mean: take what the artefact says."""

    name: str | None = None
    version: str | None = None
    base_model: str | None = None
    task: str | None = None
    tags: tuple[str, ...] = ()
    description: str | None = None
    model_type: str | None = None


@dataclass(frozen=True)
class Known:
    """What the four sidecars will say, but for the version, the size and the checksum."""

    name: str
    base_model: str
    model_type: str
    task: str
    created_time: str
    training_dataset: str
    training_steps: int
    performance: dict[str, float]
    tags: tuple[str, ...]
    description: str
    version: str
    config: dict[str, Any]
    metrics: dict[str, Any]

    def info(self, *, version: str, size_bytes: int, checksum: str) -> ModelInfo:
        return ModelInfo(
            model_name=self.name,
            base_model=self.base_model,
            model_type=self.model_type,
            task=self.task,
            version=version,
            created_time=self.created_time,
            training_dataset=self.training_dataset,
            training_steps=self.training_steps,
            performance=self.performance,
            file_size=human_size(size_bytes),
            checksum=checksum,
            tags=list(self.tags),
            description=self.description,
        )


def read_info(artefact: Artefact) -> ModelInfo | None:
    """The ``model_info.json`` beside ``artefact``, ``None`` where there is none.

    Raises:
        BadJson: FILE-004. DamagedRecord: FILE-006.
    """
    path = artefact.beside(INFO)
    return ModelInfo.read(path) if path else None


def describe(artefact: Artefact, wishes: Wishes, now: datetime) -> Known:
    """What is known of ``artefact``: what was wished, else its own sidecars, else its run, else its files.

    Raises:
        BadJson: FILE-004. DamagedRecord: FILE-006 when its own ``model_info.json`` is not valid.
    """
    info = read_info(artefact)
    stated = info.model_type if info and info.model_type in MODEL_TYPES else None
    name = wishes.name or (info.model_name if info else "") or _plain_name(artefact)
    fields = artefact.run.spec.fields if artefact.run else {}
    parsed = parse_finetuned_name(name) or {}
    task = _first(wishes.task, info and info.task, parsed.get("task"), fields.get("task"))
    created = info.created_time if info else _seconds(artefact.run.spec.created if artefact.run else "", now)
    return Known(
        name=name,
        base_model=_first(wishes.base_model, info and info.base_model, *_base_names(artefact)),
        model_type=_first(wishes.model_type, stated, _model_type(artefact)),
        task=task,
        created_time=created,
        training_dataset=_first(
            info and info.training_dataset, _input(artefact, "data"), fields.get("dataset")
        ),
        training_steps=info.training_steps if info else _steps(artefact),
        performance=info.performance if info and info.performance else _performance(artefact),
        tags=tuple(dict.fromkeys((*(info.tags if info else ()), *wishes.tags))),
        description=_first(wishes.description, info and info.description),
        version=info.version if info else "",
        config=json_object(artefact.beside(CONFIG_SIDECAR)) or _config(artefact),
        metrics=json_object(artefact.beside(METRICS_SIDECAR)) or _metrics(artefact),
    )


def write_version(folder: Path, known: Known, info: ModelInfo, registration: Registration) -> None:
    """Write ``registration.json`` and the four sidecars into ``folder``, ``model_info.json`` last.

    A ``README.md`` that is there stays as it is.
    """
    registration.write(folder / REGISTRATION)
    there = folder / README
    readme = read_text(there) if there.is_file() else readme_of(info)
    write_sidecars(folder, info, config=known.config, metrics=known.metrics, readme=readme)


def readme_of(info: ModelInfo) -> str:
    """The page of a version that nobody wrote one for."""
    performance = ", ".join(f"{name} {value:g}" for name, value in info.performance.items()) or "-"
    return text(
        "registry.readme",
        name=info.model_name,
        version=info.version,
        description=info.description or "-",
        model_type=info.model_type,
        base_model=info.base_model or "-",
        task=info.task or "-",
        dataset=info.training_dataset or "-",
        steps=info.training_steps,
        performance=performance,
        size=info.file_size,
        checksum=info.checksum,
        tags=", ".join(info.tags) or "-",
    )


def _plain_name(artefact: Artefact) -> str:
    """The run's name for what was trained, else the folder's or file's own where it says something."""
    path, run = artefact.path, artefact.run
    own = path.stem if artefact.is_single_file else path.name
    says_nothing = own in USUAL_PLACES or own.startswith("checkpoint-")
    if run is not None and (says_nothing or run.spec.verb == "train"):
        return run.spec.run
    return path.parent.name if says_nothing else own


def _base_names(artefact: Artefact) -> list[Any]:
    """What the artefact and its run call the model that it was made from, best first."""
    recorded = json_object(artefact.beside(BASE))
    names = [recorded.get(key) for key in ("ref", "name", "model", "path")]
    config = artefact.config if artefact.kind == "adapter" else {}
    fields = artefact.run.spec.fields if artefact.run else {}
    return [*names, _input(artefact, "base"), fields.get("model"), config.get("base_model_name_or_path")]


def _input(artefact: Artefact, role: str) -> str:
    inputs = artefact.run.spec.inputs if artefact.run else []
    return next((item.ref for item in inputs if item.role == role), "")


def _model_type(artefact: Artefact) -> str:
    fields = artefact.run.spec.fields if artefact.run else {}
    trained = fields.get("train_type")
    if artefact.kind == "adapter":
        return trained if trained in ("qlora", "multimodal") else "lora"
    if artefact.run:
        return "multimodal" if trained == "multimodal" else "full"
    certificate = json_object(artefact.beside(CERTIFICATE))
    return "full" if certificate.get("made_from") else "pretrained"


def _steps(artefact: Artefact) -> int:
    """Optimiser steps: what the result says, else the last step in the run's events."""
    if artefact.run is None:
        return 0
    details = artefact.run.result.details if artefact.run.result else {}
    for key in ("steps", "training_steps", "global_step"):
        if isinstance(details.get(key), int):
            return max(0, int(details[key]))
    last = 0
    try:
        for event in read_jsonl(artefact.run.folder / "events.jsonl"):
            if event.get("kind") == "step" and isinstance(event.get("step"), int):
                last = max(last, int(event["step"]))
    except MozhuError:
        return last
    return last


def _performance(artefact: Artefact) -> dict[str, float]:
    metrics = artefact.run.result.metrics if artefact.run and artefact.run.result else {}
    return {name: float(item.value) for name, item in metrics.items() if not isinstance(item.value, str)}


def _config(artefact: Artefact) -> dict[str, Any]:
    """The request of the run that made it; of an adapter without a run, its own settings."""
    if artefact.run:
        return artefact.run.spec.to_json()
    return dict(artefact.config) if artefact.kind == "adapter" else {}


def _metrics(artefact: Artefact) -> dict[str, Any]:
    if artefact.run is None or artefact.run.result is None:
        return {}
    shown = artefact.run.result.to_json()
    return {"schema": 1, "metrics": finite(shown["metrics"]), "seconds": shown["seconds"]}


def _seconds(value: str, now: datetime) -> str:
    """``value`` as UTC ISO 8601 in seconds; ``now`` where it is no time."""
    try:
        when = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        when = now
    when = when if when.tzinfo else when.replace(tzinfo=timezone.utc)
    return when.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _first(*values: Any) -> str:
    return next((str(value) for value in values if value), "")
