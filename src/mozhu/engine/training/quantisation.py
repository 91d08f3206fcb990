"""Which quantisation a base is trained with, and what stands against one that is quantised already; needs no torch."""

from __future__ import annotations

import re

from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.machine import library_version
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec

_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.\d+\.")
LIBRARY = "bitsandbytes"
# How a folder says that its weights are quantised -> the library that computes with them and lets gradients pass.
_TRAINABLE = {
    "bitsandbytes": LIBRARY,
    "gptq": "gptqmodel",
    "awq": "gptqmodel",
    "hqq": "hqq",
    "torchao": "torchao",
}


def wanted_quantisation(spec: TrainSpec) -> str:
    """The spec's quantisation; QLoRA is 4 bits unless it says otherwise."""
    return "4bit" if spec.train_type == "qlora" and spec.quantization == "none" else spec.quantization


def used_quantisation(spec: TrainSpec, model: ModelFolder | None = None) -> str:
    """What the base is quantised to when it is loaded: ``none``, ``4bit`` (nf4) or ``8bit``.

    ``none`` without bitsandbytes, and for a base whose files are quantised already: that stays as it is.
    """
    if library_version(LIBRARY) is None or (model is not None and method_of(model)):
        return "none"
    return wanted_quantisation(spec)


def quantised_parameters(model: ModelFolder) -> int:
    """How many parameters quantising makes small: those of the linear layers inside the blocks."""
    return sum(
        info.count
        for name, info in model.tensors.items()
        if len(info.shape) == 2 and name.endswith(".weight") and _LAYER.search(name)
    )


def method_of(model: ModelFolder) -> str | None:
    """How the files of ``model`` are quantised, by its configuration (``gptq``, ``bitsandbytes`` …), if they are."""
    told = model.config.get("quantization_config")
    if not isinstance(told, dict):
        return None
    if told.get("load_in_4bit") or told.get("load_in_8bit"):
        return "bitsandbytes"
    return str(told.get("quant_method") or "?").lower()


def quantisation_finding(spec: TrainSpec, *, has_gpu: bool) -> Finding | None:
    """What to know of a run that asks for quantisation: it goes on without (no bitsandbytes), or on a CPU."""
    wanted = wanted_quantisation(spec)
    if wanted == "none":
        return None
    if library_version(LIBRARY) is None:
        return Finding("warning", "TRAIN-021", {"quantization": wanted})
    return None if has_gpu else Finding("info", "TRAIN-038", {"quantization": wanted})


def quantised_base_findings(spec: TrainSpec, model: ModelFolder) -> list[Finding]:
    """What stands against training on a base whose files are quantised; empty for any other."""
    method = method_of(model)
    if method is None:
        return []
    params = {"path": str(model.path), "method": method, "train_type": spec.train_type}
    if spec.train_type == "full":
        return [Finding("error", "TRAIN-050", params)]
    library = _TRAINABLE.get(method)
    if library is None or spec.lora_init == "pissa":
        return [Finding("error", "TRAIN-051", params)]
    if library_version(library) is None:
        return [Finding("error", "TRAIN-052", {**params, "library": library})]
    if wanted_quantisation(spec) != "none":
        return [Finding("info", "TRAIN-053", params)]
    return []
