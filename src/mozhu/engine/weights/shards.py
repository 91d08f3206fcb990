"""The safetensors files of a folder: which there are, and whether the index says the truth about them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from mozhu.engine.weights.headers import TensorInfo, scan_header
from mozhu.engine.weights.problems import problem
from mozhu.kernel.files import read_json

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
# Files that can run code when they are read; they are named, never opened.
PICKLED = ("pytorch_model*.bin", "adapter_model.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
_SHOWN = 5


@dataclass
class Shards:
    """What was found. ``tensors`` merges the headers of ``files``, in order of file and place."""

    files: list[Path] = field(default_factory=list)
    tensors: dict[str, TensorInfo] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def read_shards(folder: Path, single: str = SINGLE) -> Shards:
    """The weights of ``folder``: one file, or all that the index lists. No files: there is neither."""
    if (folder / single).is_file():
        tensors, problems = scan_header(folder / single)
        return Shards([folder / single], tensors, problems)
    index = folder / single.replace(".safetensors", ".safetensors.index.json")
    return _read_indexed(folder, index) if index.is_file() else Shards()


def pickled_files(folder: Path) -> list[str]:
    """Names of the weight files in ``folder`` that are Python pickles."""
    return sorted({path.name for pattern in PICKLED for path in folder.glob(pattern)} - {"training_args.bin"})


def _read_indexed(folder: Path, index: Path) -> Shards:
    content: Any = read_json(index)
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        return Shards([index], {}, [problem("index_shape", file=index.name)])
    found = Shards()
    for name in sorted({str(name) for name in weight_map.values()}):
        listed = {tensor for tensor, file in weight_map.items() if file == name}
        _add_shard(found, folder, name, listed, index.name)
    found.problems += _number_problems(found.files)
    return found


def _add_shard(found: Shards, folder: Path, name: str, listed: set[str], index: str) -> None:
    path = folder / name
    if PurePath(name).name != name or name.startswith("."):
        found.problems.append(problem("index_path", file=index, shard=name))
        return
    found.files.append(path)
    if not path.is_file():
        found.problems.append(problem("missing_shard", file=name, tensors=len(listed)))
        return
    tensors, problems = scan_header(path)
    found.problems += problems
    if not problems:
        found.problems += _differences(name, listed, set(tensors))
    for tensor in tensors.keys() & found.tensors.keys():
        found.problems.append(problem("doubled_tensor", file=name, tensor=tensor))
    found.tensors.update(tensors)


def _differences(name: str, listed: set[str], held: set[str]) -> list[str]:
    problems = []
    for kind, names in (("not_in_shard", sorted(listed - held)), ("not_in_index", sorted(held - listed))):
        if names:
            shown = ", ".join(f"`{item}`" for item in names[:_SHOWN]) + (" …" if len(names) > _SHOWN else "")
            problems.append(problem(kind, file=name, count=len(names), tensors=shown))
    return problems


def _number_problems(files: list[Path]) -> list[str]:
    """Shards ``x-00002-of-00003`` whose names show that the index has forgotten one of them."""
    numbered = [match for path in files if (match := re.search(r"-(\d{5})-of-(\d{5})\.", path.name))]
    if not numbered or len(numbered) != len(files):
        return []
    total = max(int(match[2]) for match in numbered)
    missing = sorted(set(range(1, total + 1)) - {int(match[1]) for match in numbered})
    return [problem("forgotten_shard", number=number, total=total) for number in missing]
