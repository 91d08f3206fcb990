"""From the trained network to the folder of an artefact, in one step."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.engine.training.engines.pissa import Beginning, save_as_lora
from mozhu.engine.weights.folder import ADAPTER_CONFIG
from mozhu.engine.weights.head_record import write_head_record
from mozhu.engine.weights.load import without_bars
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.engine.weights.vision import IMAGE_FILES
from mozhu.kernel.files import read_json, replacing_folder, write_json
from mozhu.specs.train import TrainSpec


def save_artefact(
    network: Any,
    spec: TrainSpec,
    base: Path,
    artefact: Path,
    *,
    beginning: Beginning | None = None,
    classes: Sequence[str] = (),
    state: dict[str, Any] | None = None,
) -> None:
    """Write the adapter or the model, the base's own tokenizer beside it, and what an adapter's head says.

    ``state``: its weights, where ``network`` itself has only a part of each.
    """
    network.config.use_cache = True  # off for training only
    with replacing_folder(artefact) as temporary, without_bars():
        if beginning is not None:
            save_as_lora(network, beginning, temporary, state)
        else:
            network.save_pretrained(temporary, **({} if state is None else {"state_dict": state}))
        if spec.train_type != "full":
            _sort_targets(temporary)
            if spec.stage in {"rm", "classification"}:
                write_head_record(temporary, spec.stage, classes)
        load_tokenizer(base).save_pretrained(temporary)
        for name in IMAGE_FILES:
            if (base / name).is_file():
                shutil.copyfile(base / name, temporary / name)


def _sort_targets(folder: Path) -> None:
    """PEFT writes sets, whose order differs from process to process."""
    settings = read_json(folder / ADAPTER_CONFIG)
    for name, value in settings.items():
        if name.endswith("_modules") and isinstance(value, list):
            settings[name] = sorted(value)
    write_json(folder / ADAPTER_CONFIG, settings)
