"""A training run from its spec to its artefact."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mozhu.engine.training.artefact import finish_artefact
from mozhu.engine.training.data import training_data
from mozhu.engine.training.defaults import learning_rate, max_length, target_modules
from mozhu.engine.training.engine import TrainingData, TrainingEngine
from mozhu.engine.training.forecast import learn_speed, with_checkpointing
from mozhu.engine.training.processes.ranks import Ranks
from mozhu.engine.training.retold import TellOnce
from mozhu.engine.training.sinks.fan_out import Sinks
from mozhu.engine.training.text_log import TextLog
from mozhu.engine.weights.base_record import read_base_record, write_base_record
from mozhu.engine.weights.fingerprint import differing_parts, fingerprint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import FoundModel, find_model
from mozhu.kernel import slots
from mozhu.kernel.errors import AdapterAsBase, BaseChangedMeanwhile, UnsupportedTraining
from mozhu.kernel.machine import describe
from mozhu.kernel.progress import Emit
from mozhu.specs.records.result import Metric, Outcome
from mozhu.specs.train import TrainSpec

EVENTS = "events.jsonl"


def run_training(spec: TrainSpec, folder: Path, emit: Emit) -> Outcome:
    """Train what ``spec`` asks for in ``folder``; resumes from the last whole checkpoint.

    Raises:
        NoUsableRows: DATA-003. NoTrainableTokens: TRAIN-001. UnsupportedTraining: TRAIN-002.
        LossNotFinite: TRAIN-003. AdapterAsBase: TRAIN-004. BaseChangedMeanwhile: TRAIN-007.
        TooManyLostRows: TRAIN-008. ParityBroken: DATA-250, before the first step.
        What the model and the data raise when they are read.
    """
    with Sinks(spec, folder, TextLog(folder, emit).emit, log=folder / EVENTS) as sinks:
        return _train(spec, folder, TellOnce(sinks.emit, folder / EVENTS).emit)


def _train(spec: TrainSpec, folder: Path, log: Emit) -> Outcome:
    found = find_model(spec.model)
    if found.adapter is not None:
        raise AdapterAsBase(path=str(found.adapter))
    model = ModelFolder.open(found.base)
    if spec.train_type == "multimodal" and not model.is_vision:
        raise UnsupportedTraining(train_type=spec.train_type, path=str(found.base))
    spec = with_checkpointing(spec, describe(folder), log)
    base_print = _begin_print(found)
    several = spec.world_size > 1 or spec.strategy == "deepspeed"
    engine: TrainingEngine = Ranks() if several else slots.load("mozhu.training_engines", spec.engine)()
    for finding in engine.check(spec):
        log("finding", level=finding.level, code=finding.code, params=finding.params)
    if spec.train_type == "multimodal":
        data: TrainingData = slots.load("mozhu.rooms", "vision_data")(spec, model, log)
    else:
        data = training_data(spec, found, model, folder, log)
    wanted_print = _remember_base(spec, found, folder, base_print())
    trained = engine.run(spec, found, data, folder, log)
    _check_unchanged(found, wanted_print, fingerprint(found.base))
    learn_speed(
        model, spec, trained.facts["tokens_here"], trained.facts["train_seconds"], trained.facts["device"]
    )
    resolved = {
        "learning_rate": learning_rate(spec, model),
        "max_length": max_length(spec, model),
        "target_modules": [] if spec.train_type == "full" else target_modules(spec, model),
    }
    artefact = finish_artefact(spec, found, wanted_print, trained, folder, resolved, log)
    metrics = {
        name: Metric(value=value, signature=_unit(name, spec.stage))
        for name, value in trained.metrics.items()
    }
    details: dict[str, Any] = {"steps": trained.steps, **trained.facts, "resolved": resolved}
    return Outcome(artefacts=[artefact], metrics=metrics, details=details)


def _unit(name: str, stage: str) -> str:
    """What a metric is a mean of."""
    if not name.endswith("loss"):
        return "a validation row" if stage not in {"sft", "pt"} else "of the validation loss"
    return "nats a label token" if stage in {"sft", "pt"} else f"{stage} loss a row"


def _begin_print(found: FoundModel) -> Callable[[], dict[str, str]]:
    """The base's fingerprint, once it is asked for: its bytes are read while libraries load and rows are prepared."""
    pool = ThreadPoolExecutor(1)
    printing = pool.submit(fingerprint, found.base)
    pool.shutdown(wait=False)
    return printing.result


def _remember_base(
    spec: TrainSpec, found: FoundModel, folder: Path, found_print: dict[str, str]
) -> dict[str, str]:
    """The base's fingerprint as the run began, kept in the run folder; a resumed run must stand on the same base.

    Raises:
        BaseChangedMeanwhile: TRAIN-007.
    """
    known = read_base_record(folder)
    if known is None:
        write_base_record(folder, spec.model, found_print)
        return found_print
    _check_unchanged(found, known.fingerprint, found_print)
    return known.fingerprint


def _check_unchanged(found: FoundModel, wanted: dict[str, str], found_print: dict[str, str]) -> None:
    """The base must not change while it is trained on: the adapter would fit neither the old nor the new one."""
    parts = differing_parts(wanted, found_print)
    if parts:
        raise BaseChangedMeanwhile(base=str(found.base), parts=parts)
