"""From what a person writes (``starter``, a folder, a run, a name, a hub id) to folders on this disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mozhu.engine.weights.base_record import read_base_record
from mozhu.engine.weights.folder import ADAPTER_CONFIG, is_adapter_folder, is_model_folder
from mozhu.engine.weights.hub_cache import find_cached, is_hub_id
from mozhu.engine.weights.shards import pickled_files
from mozhu.kernel import slots
from mozhu.kernel.errors import (
    AdapterWithoutBase,
    AmbiguousModel,
    MissingFile,
    NotAModel,
    OfflineHub,
    RunWithoutModel,
    UnknownModel,
    UnsafeWeights,
)
from mozhu.kernel.files import read_json
from mozhu.kernel.paths import checkpoint_step, find_workspace, looks_like_path, workspace_or_here
from mozhu.specs.settings import model_settings

# Callables without arguments that give the folder of a model that is always there, by name.
MODELS_SLOT = "mozhu.models"
# Callables (reference) -> Path | None that know further references, for example the registry's `name:v2`.
FINDERS_SLOT = "mozhu.model_finders"
# What a run makes, in the order in which it is looked for.
_MADE = ("lora_adapter", "adapter", "merged_model", "model", "final_model")
RUN_SPEC = "spec.json"
_SHOWN = 8


@dataclass(frozen=True)
class FoundModel:
    """``path`` is the folder that the reference means: the adapter where there is one, else the full model.

    ``base`` is always the folder of full weights; ``adapter`` is ``None`` for a full model.
    """

    name: str
    path: Path
    adapter: Path | None
    base: Path


def find_model(ref: str, *, base: str | None = None) -> FoundModel:
    """The folders that ``ref`` means.

    Looked for in this order: a name in ``0_configs/1_model_config.json``, a built-in name (``starter``), a
    folder, further finders (the registry), the local caches of the hubs. A folder may be a model, an adapter,
    a run (``lora_adapter/``, ``merged_model/``, ``model/``, the last ``checkpoint-*``), or hold exactly one
    of these. A built-in name counts before a folder of that name; ``./starter`` is always the folder.

    Args:
        base: The base of an adapter, where it is not the one that the adapter names itself.

    Raises:
        UnknownModel: MODEL-002 with the nearest names. MissingFile: FILE-001. NotAModel: MODEL-001.
        UnsafeWeights: MODEL-005. AdapterWithoutBase: MODEL-006. AmbiguousModel: MODEL-010 with the folders.
        OfflineHub: ENV-003.
    """
    folder = _artefact(_place(ref))
    if not is_adapter_folder(folder):
        return FoundModel(_name(ref), folder, None, folder)
    return FoundModel(_name(ref), folder, folder, _base_of(folder, base))


def known_names() -> list[str]:
    """Every model name that works here without a path: configured and built in."""
    return sorted({*model_settings().models, *slots.names(MODELS_SLOT)})


def _place(ref: str) -> Path:
    """The existing folder that ``ref`` names."""
    settings, root = model_settings(), workspace_or_here().root
    if ref in settings.models:
        told = settings.models[ref].path
        inside = root / Path(told).expanduser()
        return inside if inside.exists() else _place_unnamed(told)
    return _place_unnamed(ref)


def _place_unnamed(ref: str) -> Path:
    built_in = _built_in(ref)
    if built_in is not None:
        return built_in
    path = Path(ref).expanduser()
    if path.exists():
        return path
    for name in slots.names(FINDERS_SLOT):
        finder: Callable[[str], Path | None] = slots.load(FINDERS_SLOT, name)
        if (found := finder(ref)) is not None:
            return Path(found)
    if is_hub_id(ref):
        cached = find_cached(ref)
        if cached is not None:
            return cached
        if not path.parent.is_dir():
            raise OfflineHub(name=ref)
    elif looks_like_path(ref) or os.sep in ref:
        raise MissingFile(path=ref)
    raise UnknownModel(name=ref, near=_near(ref))


def _built_in(ref: str) -> Path | None:
    """``starter``, also as ``starter:v1`` and ``starter@latest``."""
    name = ref.replace("@", ":").partition(":")[0]
    version = ref[len(name) + 1 :]
    if name in slots.names(MODELS_SLOT) and version in ("", "v1", "latest"):
        return Path(slots.load(MODELS_SLOT, name)())
    return None


def _artefact(folder: Path) -> Path:
    """The model or adapter that ``folder`` is or holds."""
    if not folder.is_dir():
        if pickled_files(folder.parent).count(folder.name):
            raise UnsafeWeights(path=str(folder.parent), files=[folder.name])
        raise NotAModel(path=str(folder), missing=["config.json"])
    found = _made_in(folder)
    if found is not None:
        return found
    inside = [made for child in _folders(folder) if (made := _made_in(child)) is not None]
    if len(inside) > 1:
        shown = [str(path) for path in inside[:_SHOWN]]
        raise AmbiguousModel(path=str(folder), found=shown, first=shown[0])
    if not inside and (folder / RUN_SPEC).is_file():
        raise RunWithoutModel(path=str(folder))
    if not inside:
        raise NotAModel(path=str(folder), missing=["config.json", ADAPTER_CONFIG])
    return inside[0]


def _made_in(folder: Path) -> Path | None:
    """``folder`` itself when it is a model, else what a run has made in it."""
    if is_model_folder(folder):
        return folder
    for name in _MADE:
        if is_model_folder(folder / name):
            return folder / name
    checkpoints = [
        path for path in _folders(folder) if path.name.startswith("checkpoint-") and is_model_folder(path)
    ]
    return max(checkpoints, key=_progress, default=None)


def _progress(checkpoint: Path) -> float:
    """``checkpoint-final`` is after every numbered one."""
    if checkpoint.name == "checkpoint-final":
        return float("inf")
    step = checkpoint_step(checkpoint.name)
    return -1.0 if step is None else float(step)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _base_of(adapter: Path, told: str | None) -> Path:
    """The full model under ``adapter``: the one told, else by ``base.json``, else by its settings."""
    if told is not None:
        base = _artefact(_place(told))
        if is_adapter_folder(base):
            raise AdapterWithoutBase(path=str(adapter), base=told)
        return base
    record = read_base_record(adapter)
    config = read_json(adapter / ADAPTER_CONFIG)
    named = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    refs = list(dict.fromkeys(ref for ref in (record.ref if record else None, named) if ref))
    for ref in refs:
        found = _full_model(str(ref), adapter)
        if found is not None:
            return found
    raise AdapterWithoutBase(path=str(adapter), base=str(refs[0]) if refs else "?")


def _full_model(ref: str, adapter: Path) -> Path | None:
    """The full model that an adapter's record means; paths count from here, the workspace and the adapter."""
    workspace = find_workspace(adapter)
    roots = [Path(), *([workspace.root] if workspace else []), adapter, adapter.parent]
    candidates = [root / Path(ref).expanduser() for root in roots]
    found = next((path for path in candidates if path.is_dir()), None)
    try:
        folder = _artefact(_place(ref) if found is None or ref in known_names() else found)
    except (UnknownModel, MissingFile, NotAModel, OfflineHub, UnsafeWeights, AmbiguousModel):
        return None
    return None if is_adapter_folder(folder) else folder


def _near(ref: str) -> list[str]:
    """Names close to ``ref``, also among the folders beside it; all known names when none is close."""
    parent = Path(ref).expanduser().parent
    beside = [str(parent / path.name) for path in _folders(parent)] if parent.is_dir() else []
    return get_close_matches(ref, [*known_names(), *beside], 3, 0.5) or known_names()[:_SHOWN]


def _name(ref: str) -> str:
    """A short name to show: the last part of a path, the reference itself otherwise."""
    path = Path(ref).expanduser()
    return path.absolute().name if path.exists() and ref not in known_names() else ref
