"""What stands against a training run on this machine, found before anything is loaded; needs no torch."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mozhu.engine.training.defaults import (
    WITH_OWN_INPUTS,
    is_expert,
    max_length,
    missing_modules,
    target_modules,
)
from mozhu.engine.training.engines.kernels import kernel_findings
from mozhu.engine.training.lost_rows import lost_params
from mozhu.engine.training.processes.plan import process_findings
from mozhu.engine.training.quantisation import LIBRARY, quantisation_finding, quantised_base_findings
from mozhu.engine.training.row_facts import RowFacts, kept_facts, read_facts
from mozhu.engine.training.sinks.packages import sink_findings
from mozhu.engine.training.token_request import PARTS, refs
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import find_model
from mozhu.kernel import slots
from mozhu.kernel.errors import (
    MozhuError,
    NoChatTemplate,
    NotEnoughDisk,
    NotWritable,
    OneLabel,
    StageNeedsFlatRows,
    TooManyLostRows,
    WrongDevice,
)
from mozhu.kernel.files import human_size
from mozhu.kernel.machine import Machine, library_version
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec

_NEEDED = ("torch", "transformers", "peft", "accelerate")
_FEW_ROWS = 100


def preflight(spec: TrainSpec, machine: Machine, folder: Path) -> list[Finding]:
    """Every finding, errors first; an empty list means that nothing stands against the run.

    Args:
        folder: Where the run will write.
    """
    findings = [
        *_libraries(spec, machine),
        *sink_findings(spec.report_to),
        *_engine(spec),
        *_gpu(spec, machine),
        *_place(folder),
    ]
    model, found = _model(spec)
    findings += found
    findings += process_findings(spec, model, machine)
    facts, found = _rows(spec, model)
    findings += found
    if model is not None:
        findings += [*_template(model, facts), *_fits(spec, model, machine)]
    order = {"error": 0, "warning": 1, "info": 2}
    return sorted(findings, key=lambda finding: order[finding.level])


def _libraries(spec: TrainSpec, machine: Machine) -> list[Finding]:
    missing = [name for name in _NEEDED if library_version(name) is None]
    params = {"wanted_by": spec.verb, "module": ", ".join(missing), "extra": "train"}
    findings = [Finding("error", "ENV-001", params)] if missing else []
    if spec.engine in slots.names("mozhu.engine_checks"):
        return findings  # the rest of its libraries is elsewhere, and it checks them itself
    has_gpu = bool(machine.gpus) and spec.device in {"auto", "cuda"}
    findings += kernel_findings(spec, has_gpu=has_gpu)
    if spec.train_type == "multimodal" and library_version("pillow") is None:
        params = {"wanted_by": spec.train_type, "module": "PIL", "extra": "vision"}
        findings.append(Finding("error", "ENV-001", params))
    if spec.optimizer == "adamw_8bit" and library_version(LIBRARY) is None:
        params = {"wanted_by": spec.optimizer, "module": LIBRARY, "extra": "quant"}
        findings.append(Finding("error", "ENV-001", params))
    told = quantisation_finding(spec, has_gpu=has_gpu)
    return [*findings, told] if told else findings


def _engine(spec: TrainSpec) -> list[Finding]:
    if spec.engine in slots.names("mozhu.engine_checks"):
        return list(slots.load("mozhu.engine_checks", spec.engine)(spec))
    if spec.engine in slots.names("mozhu.training_engines"):
        return []
    return [Finding("error", "TRAIN-022", {"engine": spec.engine})]


def _gpu(spec: TrainSpec, machine: Machine) -> list[Finding]:
    if spec.device != "cuda" or machine.gpus:
        return []
    return [_from_error(WrongDevice(device=spec.device, there=["auto", "cpu"]))]


def _place(folder: Path) -> list[Finding]:
    """Whether the run folder can be written, tried on the nearest folder that exists."""
    place = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=place if place.is_dir() else place.parent):
            return []
    except OSError as error:
        return [_from_error(NotWritable(path=str(folder), reason=error.strerror or str(error)))]


def _model(spec: TrainSpec) -> tuple[ModelFolder | None, list[Finding]]:
    try:
        found = find_model(spec.model)
        model = ModelFolder.open(found.base)
    except MozhuError as error:
        return None, [_from_error(error)]
    findings = []
    if found.adapter is not None:
        findings.append(Finding("error", "TRAIN-024", {"path": str(found.adapter)}))
    if absent := missing_modules(spec, model):
        findings.append(Finding("error", "TRAIN-026", {"modules": ", ".join(absent)}))
    elif spec.train_type != "full" and not target_modules(spec, model):
        findings.append(Finding("error", "TRAIN-026", {"modules": "-"}))
    has_experts = any(map(is_expert, model.tensors))
    if spec.train_experts and not has_experts:
        findings.append(Finding("error", "TRAIN-026", {"modules": "experts"}))
    if spec.train_type not in {"full", "prefix"} and has_experts and not spec.train_experts:
        params = {"path": str(model.path), "modules": ", ".join(target_modules(spec, model))}
        findings.append(Finding("info", "TRAIN-055", params))
    if spec.train_type == "multimodal" and not model.is_vision:
        findings.append(Finding("error", "TRAIN-027", {"path": str(model.path)}))
    if spec.stage not in {"sft", "pt"} and spec.train_type in WITH_OWN_INPUTS:
        params = {"stage": spec.stage, "family": model.family, "train_type": spec.train_type}
        findings.append(Finding("error", StageNeedsFlatRows.code, params))
    return model, [*findings, *quantised_base_findings(spec, model)]


def _template(model: ModelFolder, facts: list[RowFacts]) -> list[Finding]:
    """Without a chat template conversations cannot be written as text; plain text needs none."""
    if model.template is not None:
        return []
    if any(each.conversations for each in facts):
        return [_from_error(NoChatTemplate(path=str(model.path)))]
    return [Finding("warning", "TRAIN-025", {"path": str(model.path)})]


def _rows(spec: TrainSpec, model: ModelFolder | None) -> tuple[list[RowFacts], list[Finding]]:
    """What is known of the data, and what stands against it."""
    facts, findings = _facts(spec, model)
    for each in facts:
        if lost := lost_params(spec, each.numbers()):
            findings.append(Finding("error", TooManyLostRows.code, lost))
        elif each.rejected:
            findings.append(Finding("warning", "TRAIN-028", {"ref": each.ref, "rejected": each.rejected}))
    if facts and spec.stage in {"kto", "classification"} and len(facts[0].labels) == 1:
        params = {"path": facts[0].ref, "label": facts[0].labels[0], "stage": spec.stage}
        findings.append(Finding("error", OneLabel.code, params))
    if facts and facts[0].ref == spec.dataset != "sample" and facts[0].rows < _FEW_ROWS:
        findings.append(Finding("info", "TRAIN-030", {"rows": facts[0].rows}))
    return facts, findings


def _facts(spec: TrainSpec, model: ModelFolder | None) -> tuple[list[RowFacts], list[Finding]]:
    try:
        kept = kept_facts(spec, model) if model is not None else None
    except MozhuError:
        kept = None  # told below, for each data set on its own
    if kept is not None:
        return kept, []
    facts: list[RowFacts] = []
    findings: list[Finding] = []
    for ref, part in zip(refs(spec), PARTS, strict=False):
        try:
            facts.append(read_facts(spec, ref, part))
        except MozhuError as error:
            findings.append(_from_error(error))
    return facts, findings


def _fits(spec: TrainSpec, model: ModelFolder, machine: Machine) -> list[Finding]:
    findings = []
    if spec.max_length and model.max_length and spec.max_length > model.max_length:
        findings.append(
            Finding("warning", "TRAIN-031", {"asked": spec.max_length, "limit": max_length(spec, model)})
        )
    needed = model.weight_bytes // 10 + (8 * model.parameter_count if spec.train_type == "full" else 0)
    if 0 < machine.disk_free_bytes < needed:
        params = {"need": human_size(needed), "free": human_size(machine.disk_free_bytes)}
        findings.append(Finding("error", NotEnoughDisk.code, params))
    return findings


def _from_error(error: MozhuError) -> Finding:
    """A catalogued error as a finding: same code, same words."""
    return Finding("error", error.code, dict(error.params))
