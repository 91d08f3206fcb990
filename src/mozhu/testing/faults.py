"""Faults to plant into a copy of an artefact: what certificates are there to find."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import torch
from safetensors.torch import load_file, save_file

from mozhu.kernel.files import read_json, write_json

_HEAD = "lm_head.weight"
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


def plant_no_op_merge(merged_copy: Path, base: Path) -> None:
    """The merge did nothing: the folder of the merged model holds the base's weights."""
    for path in merged_copy.glob("*.safetensors"):
        path.unlink()
    (merged_copy / "model.safetensors.index.json").unlink(missing_ok=True)
    for path in [*base.glob("*.safetensors"), *base.glob("*.safetensors.index.json")]:
        shutil.copyfile(path, merged_copy / path.name)


def plant_other_revision(folder_copy: Path) -> None:
    """Another revision of the same model: same names, same shapes, slightly other weights."""
    generator = torch.Generator().manual_seed(11)

    def moved(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            noise = torch.randn(tensor.shape, generator=generator) * 0.05
            tensors[name] = (tensor.float() + noise).to(tensor.dtype)

    _in_weights(folder_copy, moved)


def plant_dropped_head(folder_copy: Path) -> None:
    """The output layer of an untied model was not saved: whoever loads it makes one up."""
    _in_weights(folder_copy, lambda tensors: tensors.pop(_HEAD, None))
    _in_configs(folder_copy, {"tie_word_embeddings": False})


def plant_untied_embeddings(folder_copy: Path) -> None:
    """A tied model was saved with an output layer of its own that is not the embedding any more."""

    def untied(tensors: dict[str, torch.Tensor]) -> None:
        name = next((name for name in tensors if name.endswith("embed_tokens.weight")), None)
        if name is not None:
            generator = torch.Generator().manual_seed(3)
            noise = torch.randn(tensors[name].shape, generator=generator) * tensors[name].float().std()
            tensors[_HEAD] = (tensors[name].float() + noise).to(tensors[name].dtype)

    _in_weights(folder_copy, untied)
    _in_configs(folder_copy, {"tie_word_embeddings": False})


def plant_half_overflow(folder_copy: Path) -> None:
    """The model was saved as float16, and a weight too large for that became infinite."""

    def halved(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            tensors[name] = tensor.to(torch.float16)
        for name in sorted(name for name in tensors if name.endswith("down_proj.weight"))[:1]:
            tensors[name][0, 0] = torch.tensor(1e6).to(torch.float16)

    _in_weights(folder_copy, halved)
    _in_configs(folder_copy, {"dtype": "float16", "torch_dtype": "float16"})


def plant_no_module_adapter(folder_copy: Path) -> None:
    """No module of the adapter takes effect: its tensors are for modules that PEFT finds nowhere."""
    plant_other_prefix(folder_copy, "model.")


def plant_other_prefix(adapter_copy: Path, prefix: str) -> None:
    """The adapter's tensors begin with ``prefix`` instead of the ``base_model.model.model.`` of PEFT."""
    _in_weights(adapter_copy, _renamed("base_model.model.model.", prefix))


def plant_renamed_modules(adapter_copy: Path) -> None:
    """The adapter calls the modules as another implementation does."""
    for old, new in (("q_proj", "wq"), ("k_proj", "wk"), ("v_proj", "wv"), ("o_proj", "wo")):
        _in_weights(adapter_copy, _renamed(f".{old}.", f".{new}."))


def plant_quantised_config(folder_copy: Path) -> None:
    """The base was quantised: its settings say so and its linear weights are packed bytes."""

    def packed(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if name.endswith("_proj.weight"):
                tensors[name] = torch.zeros(tensor.numel() // 2, 1, dtype=torch.uint8)

    _in_weights(folder_copy, packed)
    quantised = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    _in_configs(folder_copy, {"quantization_config": quantised})


def plant_resized_vocabulary(folder_copy: Path) -> None:
    """The base's vocabulary was resized: 64 more rows in the embedding."""

    def grown(tensors: dict[str, torch.Tensor]) -> None:
        for name, tensor in tensors.items():
            if name.endswith(("embed_tokens.weight", _HEAD)):
                tensors[name] = torch.cat([tensor, tensor[:64]])

    _in_weights(folder_copy, grown)
    rows = read_json(folder_copy / "config.json")["vocab_size"]
    _in_configs(folder_copy, {"vocab_size": rows + 64})


def plant_gguf_eos(file_copy: Path) -> None:
    """The GGUF file names another end token: the model would talk on."""
    reader = gguf.GGUFReader(str(file_copy), "r+")
    field = reader.get_field("tokenizer.ggml.eos_token_id")
    assert field is not None
    field.parts[field.data[0]][0] -= 1
    reader.data.flush()


def _renamed(old: str, new: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def rename(tensors: dict[str, torch.Tensor]) -> None:
        for name in list(tensors):
            tensors[name.replace(old, new)] = tensors.pop(name)

    return rename


def _in_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """``change`` in every file of weights; an index is written anew."""
    weight_map: dict[str, str] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, path.name)
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        write_json(index, {**read_json(index), "weight_map": weight_map})


def _in_configs(folder: Path, values: dict[str, object]) -> None:
    config = read_json(folder / "config.json")
    for place in (config, config.get("text_config")):
        if isinstance(place, dict):
            place.update({key: value for key, value in values.items() if place is config or key in place})
    write_json(folder / "config.json", config)


def _another(eos: object) -> object:
    if isinstance(eos, list):
        return [_another(eos[0]), *eos[1:]] if eos else [0]
    return eos - 1 if isinstance(eos, int) and eos > 0 else 1


def _other_words(template: str) -> str:
    return (
        template + "\n{{- ' ' }}" if "assistant" not in template else template.replace("assistant", "helper")
    )
