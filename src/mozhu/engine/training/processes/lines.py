"""The command lines that start a training on several machines."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mozhu.engine.training.processes.spawn import MODULE
from mozhu.specs.train import TrainSpec
from mozhu.workspace.places import node_folder

_OF_NODES = ("output_dir", "node_rank")


def launch_lines(spec: TrainSpec, folder: Path) -> list[dict[str, Any]]:
    """For each machine what to type there, and the torchrun line that does the same once its tokens are made.

    All machines get the same folder and write beside it: the first one there, the others in ``<folder>-node1`` …
    """
    common = _flags(spec)
    found = []
    for number in range(spec.nodes):
        own = node_folder(folder, number)
        words = ["mozhu", "train", *common, "--output_dir", str(folder), "--node_rank", str(number)]
        found.append(
            {"node_rank": number, "command": shlex.join(words), "torchrun": _torchrun(spec, own, number)}
        )
    return found


def _flags(spec: TrainSpec) -> list[str]:
    """The fields of ``spec`` that are not what they are by default, as flags."""
    words: list[str] = []
    for name, item in type(spec).model_fields.items():
        value = getattr(spec, name)
        if name in _OF_NODES or (
            not item.is_required() and value == item.get_default(call_default_factory=True)
        ):
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no_{name}")
        elif isinstance(value, tuple):
            words += [f"--{name}", ",".join(str(part) for part in value) or "none"]
        elif value is not None:
            words += [f"--{name}", str(value)]
    return words


def _torchrun(spec: TrainSpec, folder: Path, number: int) -> str:
    words = ["torchrun", "--nnodes", spec.nodes, "--nproc_per_node", spec.processes, "--node_rank", number]
    words += ["--master_addr", spec.master_address, "--master_port", spec.master_port, "-m", MODULE, folder]
    return shlex.join(str(word) for word in words)
