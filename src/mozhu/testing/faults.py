"""Faults to plant into a copy of an artefact: what certificates are there to find."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file

from mozhu.kernel.files import read_json, write_json

_OUTPUT_SIDE = (".lora_B.weight", ".lora_embedding_B")


def plant_changed_eos(folder_copy: Path) -> None:
    """Make the model in ``folder_copy`` end its answers at another token: it would talk on after the
    answer.
    """
    for name in ("config.json", "generation_config.json"):
        path = folder_copy / name
        if path.is_file():
            content = read_json(path)
            content["eos_token_id"] = _another(content.get("eos_token_id"))
            write_json(path, content)


def plant_no_effect_adapter(folder_copy: Path) -> None:
    """Make the adapter in ``folder_copy`` a no-op: the output side of every pair is zero."""
    path = folder_copy / "adapter_model.safetensors"
    tensors = load_file(path)
    for name, tensor in tensors.items():
        if name.endswith(_OUTPUT_SIDE):
            tensor.zero_()
    save_file(tensors, path, metadata={"format": "pt"})


def plant_other_template(folder_copy: Path) -> None:
    """Change one word of the chat template: the prompt is no longer the one of the training."""
    path = folder_copy / "chat_template.jinja"
    if path.is_file():
        path.write_text(_other_words(path.read_text(encoding="utf-8")), encoding="utf-8")
    settings = folder_copy / "tokenizer_config.json"
    content = read_json(settings)
    if isinstance(content.get("chat_template"), str):
        content["chat_template"] = _other_words(content["chat_template"])
        write_json(settings, content)


def plant_flipped_weight(folder_copy: Path) -> None:
    """Change one number of the model in ``folder_copy``, far enough to be seen in its answers."""
    path = sorted(folder_copy.glob("*.safetensors"))[0]
    tensors = load_file(path)
    name = next(name for name in sorted(tensors) if name.endswith("norm.weight"))
    tensors[name][0] += 1.0
    save_file(tensors, path, metadata={"format": "pt"})


def _another(eos: object) -> object:
    if isinstance(eos, list):
        return [_another(eos[0]), *eos[1:]] if eos else [0]
    return eos - 1 if isinstance(eos, int) and eos > 0 else 1


def _other_words(template: str) -> str:
    return (
        template + "\n{{- ' ' }}" if "assistant" not in template else template.replace("assistant", "helper")
    )
