"""What a certificate says of the artefact it lies beside: its files, its tensors, what it was made from and with."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mozhu.engine.scoring.watching import each_of_size
from mozhu.engine.weights.content import TensorHash, file_content
from mozhu.engine.weights.folder import ModelFolder, is_model_folder
from mozhu.kernel.errors import MozhuError
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.manifest import NOT_LISTED, ManifestFile
from mozhu.specs.records.sidecars import ABOUT

_TOOLS = ("mozhu", "torch", "transformers", "peft", "safetensors", "tokenizers", "numpy")
_SHORT = 16
# How far a merge that goes on has come; gone when it is done.
_IN_THE_MAKING = "merging.json"


def sealed(
    kind: str,
    checks: Sequence[Check],
    *,
    artefact: Path,
    made_from: list[dict[str, Any]],
    prints: dict[str, str],
    measured: dict[str, Any],
    tools: Sequence[str] = (),
    files: list[ManifestFile] | None = None,
    tensors: dict[str, str] | None = None,
    mix: dict[str, dict[str, int]] | None = None,
) -> Certificate:
    """The whole record. Files, tensors and mix are those of the folder ``artefact`` where they are not given."""
    if files is None:
        files, folder = certified_files(artefact), ModelFolder.open(artefact)
        tensors, mix = tensor_list(folder), tensor_mix(folder)
    passed = bool(checks) and all(check.ok for check in checks)
    return Certificate(
        kind=kind,
        made_from=made_from,
        fingerprint=prints,
        checks=list(checks),
        passed=passed,
        tools=versions(tools),
        measured=measured,
        files=files,
        tensors=tensors or {},
        mix=mix or {},
    ).sealed()


def is_whole(folder: Path) -> bool:
    """Whether it is a model or an adapter, and not only its weights."""
    try:
        return is_model_folder(folder) and bool(ModelFolder.open(folder).shards)
    except MozhuError:
        return False


def certified_files(folder: Path, *, fresh: bool = False) -> list[ManifestFile]:
    """Every file of the artefact with its hash; what is written about it later is left out."""
    found = []
    there = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    listed: Iterable[Path] = there
    if fresh:  # read now, which takes its time
        listed = each_of_size(there, lambda path: path.stat().st_size, "export.certify.files_read")
    for path in listed:
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.name in NOT_LISTED or name in {*ABOUT, _IN_THE_MAKING}:
            continue
        if path.suffix == ".safetensors":
            size, own = path.stat().st_size, file_content(path, fresh=fresh).sha256
            found.append(ManifestFile(path=name, size=size, sha256=own))
        else:
            found.append(ManifestFile.of(folder, path))
    return found


def tensor_list(folder: ModelFolder, *, fresh: bool = False) -> dict[str, str]:
    """``BF16 896x896 0123456789abcdef``: type, shape and the beginning of the hash of each tensor, by name."""
    found = (item for shard in folder.shards for item in file_content(shard, fresh=fresh).tensors)
    return listed_tensors(found)


def listed_tensors(tensors: Iterable[TensorHash]) -> dict[str, str]:
    """The same of tensors that need not be a model's."""
    return {
        name: f"{kind} {'x'.join(map(str, shape)) or '1'} {own[:_SHORT]}"
        for name, kind, shape, own in tensors
    }


def tensor_mix(folder: ModelFolder) -> dict[str, dict[str, int]]:
    """How many tensors and bytes have which type, the most bytes first."""
    sizes: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for info in folder.tensors.values():
        sizes[info.dtype] += info.size_bytes
        counts[info.dtype] += 1
    return {kind: {"tensors": counts[kind], "bytes": size} for kind, size in sizes.most_common()}


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """The versions of what measured it; a library that is not here is left out."""
    found = {"python": platform.python_version()}
    for name in (*_TOOLS, *more):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def source_entry(role: str, source: Path, artefact: Path, **hashes: str) -> dict[str, Any]:
    """What the artefact was made from. ``path`` leads there from the artefact's folder, where it can be reached so."""
    home = artefact if artefact.is_dir() else artefact.parent
    try:
        place = os.path.relpath(source.absolute(), home.absolute())
    except ValueError:  # another drive
        place = source.name
    return {"role": role, **hashes, "name": source.name, "path": Path(place).as_posix()}
