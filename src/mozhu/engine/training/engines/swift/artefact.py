"""The engine's last checkpoint as our artefact: its weights, and the base's name, tokenizer and configuration."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.engine.training.engines.swift.fields import SCORING
from mozhu.engine.weights.head_record import write_head_record
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import EngineStopped
from mozhu.kernel.files import read_json, replacing_folder, write_json

_ADAPTER = ("adapter_model.safetensors",)
_GENERATION = "generation_config.json"


def keep_adapter(checkpoint: Path, base: Path, artefact: Path, stage: str, classes: Sequence[str]) -> None:
    """``artefact`` holds the adapter as PEFT reads it, on ``base``."""
    config: dict[str, Any] = read_json(checkpoint / "adapter_config.json")
    config["base_model_name_or_path"] = str(base)
    scores = stage in SCORING  # ms-swift names heads that these models do not have as well
    config["modules_to_save"] = ["classifier", "score"] if scores else config.get("modules_to_save") or None
    with replacing_folder(artefact) as temporary:
        _copy(checkpoint, _ADAPTER, temporary)
        write_json(temporary / "adapter_config.json", config)
        if scores:
            write_head_record(temporary, stage, classes)
        load_tokenizer(base).save_pretrained(temporary)


def keep_model(checkpoint: Path, base: Path, artefact: Path, dtype: str) -> None:
    """``artefact`` holds the whole model: new weights, everything else as the base has it."""
    config: dict[str, Any] = read_json(base / "config.json")
    config.pop("torch_dtype", None)
    config["dtype"] = dtype
    weights = [path.name for path in sorted(checkpoint.glob("model*.safetensors*"))]
    with replacing_folder(artefact) as temporary:
        _copy(checkpoint, weights, temporary)
        write_json(temporary / "config.json", config)
        if (base / _GENERATION).is_file():
            shutil.copyfile(base / _GENERATION, temporary / _GENERATION)
        load_tokenizer(base).save_pretrained(temporary)


def _copy(checkpoint: Path, names: list[str] | tuple[str, ...], folder: Path) -> None:
    if not names or not all((checkpoint / name).is_file() for name in names):
        raise EngineStopped(
            engine="swift", status=0, tail=str(checkpoint), log=str(checkpoint.parent / "swift.log")
        )
    for name in names:
        shutil.copyfile(checkpoint / name, folder / name)
