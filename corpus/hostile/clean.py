"""Clean checkpoints as people save them: families, number types, every form of ``torch.save``, archives, GGUF."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
import numpy
import torch
from safetensors.torch import load_file, save_file

from mozhu import testing
from mozhu.kernel.files import write_json

_FAMILIES = ("llama", "qwen2", "qwen3", "gemma3", "mistral")
_DTYPES = {
    "float64": torch.float64,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float8": torch.float8_e4m3fn,
    "int8": torch.int8,
    "int64": torch.int64,
    "uint8": torch.uint8,
    "bool": torch.bool,
    "complex64": torch.complex64,
}


@dataclass(frozen=True)
class Clean:
    """``tensors`` is what must come out, by name; empty where the file is used as it is."""

    name: str
    path: Path
    tensors: dict[str, Any] = field(default_factory=dict)


def clean_checkpoints(folder: Path) -> Iterator[Clean]:
    """Thirty and more, made in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    yield from _models(folder)
    yield from clean_forms(folder)
    yield from clean_types(folder)
    yield from _archives(folder)


def same_numbers(item: Clean, place: Path) -> bool:
    """Whether every tensor came out bit for bit."""
    files = sorted(place.rglob("*.safetensors")) if place.is_dir() else [place]
    found = {
        name: tensor
        for file in files
        if file.suffix == ".safetensors"
        for name, tensor in load_file(file).items()
    }
    if not item.tensors:
        return True
    wanted = item.tensors
    return found.keys() == wanted.keys() and all(_equal(found[name], wanted[name]) for name in wanted)


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    plain = other.detach().contiguous()
    same = one.dtype == plain.dtype and one.shape == plain.shape
    return same and torch.equal(one.reshape(-1).view(torch.uint8), plain.reshape(-1).view(torch.uint8))


def _models(folder: Path) -> Iterator[Clean]:
    for family in _FAMILIES:
        place = testing.make_tiny_model(folder / family, family)
        yield Clean(f"{family} as safetensors", place)
        tensors = load_file(place / "model.safetensors")
        pickled = folder / f"{family}-bin"
        shutil.copytree(place, pickled, ignore=shutil.ignore_patterns("*.safetensors"))
        torch.save(tensors, pickled / "pytorch_model.bin")
        yield Clean(f"{family} as pytorch_model.bin", pickled, tensors)
    yield _sharded(folder)
    adapter = testing.make_tiny_adapter(folder / "adapter", folder / "qwen2")
    tensors = load_file(adapter / "adapter_model.safetensors")
    (adapter / "adapter_model.safetensors").unlink()
    torch.save(tensors, adapter / "adapter_model.bin")
    yield Clean("adapter_model.bin", adapter, tensors)


def _sharded(folder: Path) -> Clean:
    place = folder / "sharded"
    shutil.copytree(folder / "qwen2", place, ignore=shutil.ignore_patterns("*.safetensors"))
    tensors = load_file(folder / "qwen2" / "model.safetensors")
    names = sorted(tensors)
    half = len(names) // 2
    weight_map = {}
    for number, group in enumerate((names[:half], names[half:]), start=1):
        file = f"pytorch_model-{number:05d}-of-00002.bin"
        torch.save({name: tensors[name] for name in group}, place / file)
        weight_map |= dict.fromkeys(group, file)
    write_json(place / "pytorch_model.bin.index.json", {"metadata": {}, "weight_map": weight_map})
    return Clean("sharded .bin with its index", place, tensors)


def clean_forms(folder: Path) -> Iterator[Clean]:
    state = OrderedDict((f"layers.{number}.weight", torch.randn(8, 4)) for number in range(3))
    state["bias"] = torch.nn.Parameter(torch.randn(4))
    state["turned"] = torch.randn(6, 5).t()
    state["part"] = torch.randn(100)[10:20]
    state["tied"] = state["layers.0.weight"]
    state["one"] = torch.tensor(1.5)
    state["none"] = torch.empty(0, 3)
    state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]
    optimizer = {
        "state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(8, 4)}},
        "param_groups": [{"lr": 0.1}],
    }
    lightning = {
        "epoch": 3,
        "global_step": 100,
        "pytorch-lightning_version": "2.4.0",
        "state_dict": state,
        "optimizer_states": [optimizer],
        "lr_schedulers": [],
        "loops": {"fit_loop": {"batch_progress": {"total": {"ready": 1}}}},
    }
    for name, saved, more in (
        ("state dict.pt", state, {}),
        ("state dict.pth", dict(state), {}),
        ("state dict, old form.pth", state, {"_use_new_zipfile_serialization": False}),
        ("protocol 3.pt", state, {"pickle_protocol": 3}),
        ("model in a dict.pt", {"model": state, "args": {"dim": 4}}, {}),
        ("model in a dict, old form.pt", {"model": state}, {"_use_new_zipfile_serialization": False}),
        ("lightning.ckpt", lightning, {}),
        ("module of DeepSpeed.pt", {"module": state, "ds_version": "0.16", "dp_world_size": 1}, {}),
        (
            "with optimizer.pt",
            {"model_state_dict": state, "optimizer_state_dict": optimizer, "loss": 0.5},
            {},
        ),
    ):
        path = folder / "forms" / name.replace(" ", "_").replace(",", "")
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.save(saved, path, **more)
        yield Clean(name, path, dict(state))


def clean_types(folder: Path) -> Iterator[Clean]:
    for name, dtype in _DTYPES.items():
        tensors = {"w": torch.arange(12).reshape(3, 4).to(dtype)}
        path = folder / f"{name}.bin"
        torch.save(tensors, path)
        yield Clean(f"{name} numbers", path, tensors)


def _archives(folder: Path) -> Iterator[Clean]:
    place = folder / "llama-bin"
    tensors = torch.load(place / "pytorch_model.bin", weights_only=True)
    with zipfile.ZipFile(folder / "upload.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(place.iterdir()):
            archive.write(path, f"llama-3-8b/{path.name}")
    yield Clean("a zip as seed 001 shows it", folder / "upload.zip", tensors)
    for ending, mode in ((".tar", "w"), (".tar.gz", "w:gz")):
        with tarfile.open(folder / f"upload{ending}", mode) as archive:  # type: ignore[call-overload]
            archive.add(place, "./llama-3-8b")
        yield Clean(f"a {ending[1:]} of a model", folder / f"upload{ending}", tensors)
    save_file({"w": torch.ones(3)}, folder / "alone.safetensors")
    yield Clean("safetensors alone", folder / "alone.safetensors")
    yield Clean("GGUF", _gguf(folder / "model.gguf"))


def _gguf(path: Path) -> Path:
    """Written by the reference's own package."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "模"])
    writer.add_float32("x", 1.0)
    writer.add_tensor("token_embd.weight", numpy.ones((4, 32), dtype=numpy.float16))
    writer.add_tensor("output.weight", numpy.ones((4, 32), dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
