"""Model folders quantised by bitsandbytes get their certificate, and one with spoilt weights does not."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

import mozhu
from mozhu.engine.weights.references import find_model
from mozhu.specs.records.certificate_rules import objections

pytest.importorskip("bitsandbytes")
pytestmark = pytest.mark.slow
_SETTINGS: dict[str, dict[str, Any]] = {
    "4bit": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": torch.float32},
    "8bit": {"load_in_8bit": True},
}


@pytest.mark.parametrize("kind", _SETTINGS)
def test_a_quantised_folder_is_certified_and_a_spoilt_one_is_not(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path))
    source, folder = find_model("starter").path, tmp_path / kind
    settings = BitsAndBytesConfig(**_SETTINGS[kind])
    model = AutoModelForCausalLM.from_pretrained(
        source, quantization_config=settings, dtype=torch.float32, device_map={"": "cpu"}
    )
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    made = mozhu.certify(folder, source=source).certificate
    assert made.kind == "quantised" and made.passed and not objections(made)
    assert "U8" in made.mix and "F32" in made.mix, "packed and unpacked tensors are told apart"
    assert mozhu.verify(folder, deep=True).holds
    _spoil(folder)
    assert not mozhu.verify(folder).holds
    assert not mozhu.certify(folder, source=source).certificate.passed


def _spoil(folder: Path) -> None:
    """Half of every packed tensor turned round."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    for name, value in tensors.items():
        if value.dtype in (torch.uint8, torch.int8) and name.endswith("proj.weight"):
            half = value.shape[0] // 2
            tensors[name] = torch.cat([value[:half].flip(0), value[half:]]).contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
