"""A LoRA adapter with an effect, for tests that load, merge, export or serve one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model

from mozhu.engine.weights.base_record import write_base_record
from mozhu.engine.weights.device import pick_device
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_base
from mozhu.kernel.files import read_json, replacing_folder, write_json

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_SPREAD = 0.1


def make_tiny_adapter(
    folder: str | Path,
    base: str | Path,
    *,
    rank: int = 4,
    alpha: int | None = None,
    seed: int = 0,
    targets: Sequence[str] = LINEAR,
    scale: float = 1.0,
    record: bool = False,
) -> Path:
    """A PEFT LoRA folder on ``base`` with random A and B; replaces ``folder``.

    Args:
        alpha: By default twice the rank.
        targets: Modules by the end of their names.
        scale: Factor on B; 0 makes an adapter without effect.
        record: Write ``base.json`` with the base's fingerprint, as training does.
    """
    folder, opened = Path(folder), ModelFolder.open(base)
    model = load_base(opened, pick_device("cpu"), getattr(torch, opened.dtype))
    config = LoraConfig(r=rank, lora_alpha=2 * rank if alpha is None else alpha, target_modules=list(targets))
    adapted = get_peft_model(model, config)
    generator = torch.Generator().manual_seed(seed)
    for name, value in sorted(adapted.named_parameters()):
        if ".lora_" in name:
            spread = _SPREAD * (scale if ".lora_B" in name or ".lora_embedding_B" in name else 1.0)
            value.data.copy_(spread * torch.randn(value.shape, generator=generator))
    with replacing_folder(folder) as fresh:
        adapted.save_pretrained(str(fresh), save_embedding_layers=False)
        (fresh / "README.md").unlink(missing_ok=True)
        settings = read_json(fresh / "adapter_config.json")
        # PEFT writes a set, whose order differs from process to process.
        settings["target_modules"] = sorted(settings["target_modules"])
        settings["base_model_name_or_path"] = str(Path(base).absolute())
        write_json(fresh / "adapter_config.json", settings)
        if record:
            write_base_record(fresh, str(Path(base).absolute()), fingerprint(base))
    return folder
