"""The structure of an artefact, file by file, without loading a tensor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import BadJson, MozhuError
from mozhu.kernel.files import read_json
from mozhu.kernel.gguf import read_gguf_file
from mozhu.kernel.safetensors import Header, read_header
from mozhu.platform.catalog.artefacts import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BASE,
    CONFIG,
    LOOSE,
    Artefact,
    json_object,
)
from mozhu.platform.catalog.problems import Problem, fault, remark

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
_PICKLED = re.compile(r"^(pytorch_model.*|adapter_model|model|consolidated.*)\.(bin|pt|pth)$")
_SHARD = re.compile(r"^model-\d+-of-\d+\.safetensors$")
_LORA_A = re.compile(r"\.lora_A\.(?:\w+\.)?weight$")


def structure_problems(artefact: Artefact) -> list[Problem]:
    """Everything that is wrong with the files of ``artefact``, each with its reason."""
    if artefact.kind == "gguf":
        return list(_gguf(artefact))
    found = [*_json_files(artefact.path), *_dangling(artefact.path)]
    if artefact.kind in LOOSE:
        return found + list(_loose(artefact))
    return found + list(_adapter(artefact) if artefact.kind == "adapter" else _model(artefact.path))


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _TOKENIZERS)


def _model(folder: Path) -> Iterator[Problem]:
    config = json_object(folder / CONFIG)
    if not config.get("model_type") and not config.get("architectures"):
        yield fault(CONFIG, "no_architecture")
    if not has_tokenizer(folder):
        yield fault("tokenizer.json", "no_tokenizer")
    template = (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file()
    if not template and not json_object(folder / "tokenizer_config.json").get("chat_template"):
        yield remark("tokenizer_config.json", "no_template")
    yield from _pickled(folder)
    yield from _weights(folder)


def _loose(artefact: Artefact) -> Iterator[Problem]:
    """Of what is no model: whether each file of tensors is whole."""
    for path in artefact.files():
        name = path.relative_to(artefact.path).as_posix()
        if path.suffix == ".safetensors":
            yield from _header(artefact.path, name)[1]
        elif path.suffix == ".gguf":
            problems = read_gguf_file(path).problems
            yield from (fault(name, f"gguf_{found.code}", **found.params) for found in problems)


def _weights(folder: Path) -> Iterator[Problem]:
    if (folder / INDEX).is_file():
        yield from _sharded(folder)
    elif (folder / SINGLE).is_file():
        yield from _header(folder, SINGLE)[1]
    else:
        shards = sorted(path.name for path in folder.iterdir() if _SHARD.match(path.name))
        yield fault(INDEX, "no_index", shards=len(shards)) if shards else fault(SINGLE, "no_weights")


def _sharded(folder: Path) -> Iterator[Problem]:
    weight_map = json_object(folder / INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        yield fault(INDEX, "bad_index")
        return
    wanted: dict[str, set[str]] = {}
    for tensor, shard in weight_map.items():
        wanted.setdefault(str(shard), set()).add(tensor)
    for shard, tensors in sorted(wanted.items()):
        header, problems = _header(folder, shard)
        yield from problems
        absent = sorted(tensors - set(header.tensors)) if header else []
        if absent:
            yield fault(shard, "tensors_missing", count=len(absent), first=absent[0])


def _adapter(artefact: Artefact) -> Iterator[Problem]:
    folder, config = artefact.path, artefact.config
    yield from _pickled(folder)
    header, problems = _header(folder, ADAPTER_WEIGHTS)
    yield from problems
    if not config.get("peft_type"):
        yield fault(ADAPTER_CONFIG, "no_peft_type")
    if header is not None and config.get("peft_type") == "LORA":
        yield from _lora(header, config)
    yield from _base(folder, config)


def _lora(header: Header, config: dict[str, Any]) -> Iterator[Problem]:
    pairs = {name: entry for name, entry in header.tensors.items() if _LORA_A.search(name)}
    if not pairs and not any("lora_" in name for name in header.tensors):
        yield fault(ADAPTER_WEIGHTS, "no_lora_tensors")
    rank = config.get("r")
    if config.get("rank_pattern") or not isinstance(rank, int):
        return
    other = sorted(name for name, entry in pairs.items() if entry.shape[:1] != (rank,))
    if other:
        yield fault(
            ADAPTER_WEIGHTS, "rank", rank=rank, tensor=other[0], found=header.tensors[other[0]].shape[0]
        )


def _base(folder: Path, config: dict[str, Any]) -> Iterator[Problem]:
    recorded = json_object(folder / BASE)
    base = str(config.get("base_model_name_or_path") or "")
    if not base and not recorded:
        yield fault(ADAPTER_CONFIG, "no_base")
    elif Path(base).is_absolute() and not Path(base).exists():
        yield remark(ADAPTER_CONFIG, "base_gone", base=base)
    if not recorded:
        yield remark(BASE, "no_base_record")


def _gguf(artefact: Artefact) -> Iterator[Problem]:
    files = [path for path in artefact.files() if path.suffix == ".gguf"]
    for path in files:
        try:
            header = read_gguf_file(path)
        except MozhuError as error:
            yield fault(path.name, "unreadable", reason=str(error))
            continue
        if header.problems:
            yield from (fault(path.name, f"gguf_{found.code}", **found.params) for found in header.problems)
            continue
        if not header.metadata.get("general.architecture"):
            yield fault(path.name, "gguf_architecture")
        if not header.tensors:
            yield fault(path.name, "gguf_empty")
    if not artefact.is_single_file:
        yield from [*_json_files(artefact.path), *_dangling(artefact.path)]


def _header(folder: Path, name: str) -> tuple[Header | None, list[Problem]]:
    if not (folder / name).is_file():
        return None, [fault(name, "missing")]
    try:
        header = read_header(folder / name)
    except MozhuError as error:
        return None, [fault(name, "unreadable", reason=str(error))]
    if header.problems:
        return None, list(_header_problems(name, header))
    return header, [] if header.tensors else [fault(name, "no_tensors")]


def _header_problems(name: str, header: Header) -> Iterator[Problem]:
    """Every fault of a header; a file that is cut short is one, however many tensors lie beyond its end."""
    beyond = [found.params for found in header.problems if found.code == "tensor_range"]
    for found in header.problems:
        if found.code != "tensor_range":
            yield fault(name, f"safetensors_{found.code}", **found.params)
    if beyond:
        needed = max(place["end"] for place in beyond)
        yield fault(name, "safetensors_tensor_range", count=len(beyond), needed=needed, **beyond[0])


def _pickled(folder: Path) -> Iterator[Problem]:
    """Pickled weights are never opened: alone they are an error, beside others they are noted."""
    safe = any(folder.glob("*.safetensors"))
    for path in sorted(folder.iterdir()):
        if _PICKLED.match(path.name):
            yield remark(path.name, "pickle_unused") if safe else fault(path.name, "pickle")


def _json_files(folder: Path) -> Iterator[Problem]:
    for path in sorted(folder.glob("*.json")):
        try:
            read_json(path)
        except BadJson as error:
            place = {"line": error.params["line"], "column": error.params["column"]}
            yield fault(path.name, "json", reason=error.params["reason"], **place)
        except (MozhuError, UnicodeDecodeError) as error:
            yield fault(path.name, "unreadable", reason=str(error))


def _dangling(folder: Path) -> Iterator[Problem]:
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not path.exists():
            yield fault(path.relative_to(folder).as_posix(), "dangling")
