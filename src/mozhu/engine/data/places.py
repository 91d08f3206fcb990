"""Finds the file that a person means by a data set's name or path."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from mozhu.engine.data.sample import ROWS_FILE, SAMPLE
from mozhu.engine.weights.hub_cache import is_hub_id
from mozhu.kernel.errors import ChangedSnapshot, MissingFile, OfflineHub, UnknownDataset
from mozhu.kernel.files import sha256_file
from mozhu.kernel.paths import workspace_or_here
from mozhu.specs.layers import Layers, resolve
from mozhu.specs.records.snapshot import Snapshot
from mozhu.specs.settings import ModelSettings

SNAPSHOT = "snapshot.json"
_SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".txt", ".ndjson")
# What a run leaves beside the data it makes.
_RECORDS = {"spec.json", "result.json", "events.jsonl", "rejected.jsonl", "manifest.json", "certificate.json"}
_SHOWN = 8


@dataclass(frozen=True)
class Place:
    """A file of rows, the name under which it is known, and the snapshot it is a part of, if any."""

    name: str
    path: Path
    snapshot: Snapshot | None = None


def find_place(ref: str, part: str = "train") -> Place:
    """The file that ``ref`` means.

    Looked for in this order: ``sample``, a name in ``0_configs/1_model_config.json``, a file or folder, a
    name under ``data/`` of the workspace and of the current folder. Of a folder with ``snapshot.json`` its
    ``part`` is meant, and checked to be unchanged; of another folder ``<part>.jsonl`` or its only data file.

    Raises:
        UnknownDataset: DATA-001 with the nearest names. MissingFile: FILE-001. ChangedSnapshot: DATA-005.
        OfflineHub: ENV-003, the name has the form of a hub's.
    """
    if ref == SAMPLE:
        return Place(SAMPLE, ROWS_FILE)
    settings, root = _settings(), workspace_or_here().root
    if ref in settings.datasets:
        told = settings.datasets[ref].path
        inside = root / Path(told).expanduser()
        found = _place_at(inside, part) or _place_unnamed(told, part)
        return Place(ref, found.path, found.snapshot)
    return _place_unnamed(ref, part)


def known_names() -> list[str]:
    """Every data set that works here without a path: ``sample``, configured ones, those under ``data/``."""
    names = {SAMPLE, *_settings().datasets}
    for folder in _data_folders():
        for path in folder.iterdir() if folder.is_dir() else ():
            if path.suffix.lower() in _SUFFIXES:
                names.add(path.stem)
            elif path.is_dir() and not path.name.startswith("."):
                names.add(path.name)
    return sorted(names)


def _place_unnamed(ref: str, part: str) -> Place:
    found = _place_at(Path(ref).expanduser(), part)
    if found is None and "/" not in ref and os.sep not in ref:
        candidates = [folder / f"{ref}{suffix}" for folder in _data_folders() for suffix in ("", *_SUFFIXES)]
        found = next((place for path in candidates if (place := _place_at(path, part))), None)
    if found is not None:
        return found
    if Path(ref).suffix.lower() in _SUFFIXES or _looks_like_path(ref):
        raise MissingFile(path=ref)
    if is_hub_id(ref) and not Path(ref).parent.is_dir():
        raise OfflineHub(name=ref)
    raise UnknownDataset(name=ref, near=_near(ref))


def _near(ref: str) -> list[str]:
    """Names close to ``ref``, also among what lies beside it; all known names when none is close."""
    parent = Path(ref).expanduser().parent
    beside = [(parent / path.name).as_posix() for path in parent.iterdir()] if parent.is_dir() else []
    return get_close_matches(ref, [*known_names(), *beside], 3, 0.5) or known_names()[:_SHOWN]


def _place_at(path: Path, part: str) -> Place | None:
    """The file at ``path`` or in the folder ``path``; ``None`` when nothing is there."""
    if path.is_file():
        return Place(path.stem, path)
    if not path.is_dir():
        return None
    if (path / SNAPSHOT).is_file():
        return _part_of_snapshot(path, part)
    files = sorted(file for file in path.iterdir() if file.is_file() and _is_data(file))
    named = [file for file in files if file.stem == part or file.stem.endswith(f"_{part}")]
    chosen = named if len(named) == 1 else files
    if len(chosen) != 1:
        raise UnknownDataset(
            name=str(path), near=[str(path / file.name) for file in files[:_SHOWN]] or known_names()
        )
    return Place(path.absolute().name, chosen[0])


def _is_data(file: Path) -> bool:
    return file.suffix.lower() in _SUFFIXES and file.name not in _RECORDS and not file.name.startswith(".")


def _part_of_snapshot(folder: Path, part: str) -> Place:
    snapshot = Snapshot.read(folder / SNAPSHOT)
    if part not in snapshot.parts:
        raise MissingFile(path=str(folder / f"{snapshot.name}_{part}.jsonl"))
    path = folder / Path(snapshot.parts[part].path).name
    if not path.is_file():
        raise MissingFile(path=str(path))
    if sha256_file(path) != snapshot.parts[part].sha256:
        raise ChangedSnapshot(path=str(path), record=str(folder / SNAPSHOT))
    return Place(snapshot.name, path, snapshot)


def _data_folders() -> list[Path]:
    return list(dict.fromkeys((workspace_or_here().root / "data", Path.cwd() / "data")))


def _settings() -> ModelSettings:
    return resolve(ModelSettings, Layers(flags={}, workspace=workspace_or_here())).spec


def _looks_like_path(ref: str) -> bool:
    return ref.startswith((".", "~", "/", "\\")) or ref.count("/") > 1 or Path(ref).is_absolute()
