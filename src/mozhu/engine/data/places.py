"""Finds the files that a person means by a data set's name, path, pattern or hub id."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mozhu.engine.data.columns import Columns
from mozhu.engine.data.folders import (
    SUFFIXES,
    DataFile,
    carded_dataset,
    folder_files,
    of_part,
    saved_dataset,
)
from mozhu.engine.data.hub_places import hub_dataset, hub_folder
from mozhu.engine.data.llama_factory import INFO_FILE, entry_names, find_entry, is_info_file
from mozhu.engine.data.packed import plain_name, suffix_of
from mozhu.engine.data.refs import Ref, glob_files, glob_root, is_glob, parse_ref
from mozhu.engine.data.sample import ROWS_FILE, SAMPLE
from mozhu.engine.weights.hub_cache import is_hub_id
from mozhu.kernel.errors import ChangedSnapshot, MissingFile, OfflineHub, UnknownDataset, UnknownSubset
from mozhu.kernel.files import sha256_file
from mozhu.kernel.paths import looks_like_path, workspace_or_here
from mozhu.specs.records.dataset import DatasetRegistration, dataset_registration
from mozhu.specs.records.snapshot import Snapshot
from mozhu.specs.settings import ModelSettings, model_settings

SNAPSHOT = "snapshot.json"
_PACKED = ("", ".gz", ".zst")
_SHOWN = 8


@dataclass(frozen=True)
class Place:
    """Files of rows, the name under which they are known, and the snapshot they are a part of, if any.

    ``path`` is what was named: the file, or the folder of ``files``. ``shape`` and ``columns`` are those of an
    entry of LLaMA-Factory's. ``rows``: so many are taken. ``left_out``: files of other parts. ``registration``:
    the version of a registered data set that the files are a part of; its rows bear that name.
    """

    name: str
    path: Path
    snapshot: Snapshot | None = None
    files: tuple[DataFile, ...] = ()
    shape: str = "auto"
    columns: Columns = field(default_factory=Columns)
    rows: int | None = None
    left_out: tuple[str, ...] = ()
    registration: DatasetRegistration | None = None

    def __post_init__(self) -> None:
        if not self.files:
            object.__setattr__(self, "files", (DataFile(self.path, self.path.name),))


def find_place(ref: str, part: str = "train") -> Place:
    """The files that ``ref`` means.

    Looked for in this order: ``sample``, a name in ``0_configs/1_model_config.json``, a file, folder or pattern,
    a name under ``data/`` of the workspace and of the current folder (also one in a ``dataset_info.json``
    there), a hub's name. ``:subset`` and ``#rows`` may follow. Of a folder with ``snapshot.json`` its ``part``
    is meant, and checked to be unchanged; of another folder the files of the part, else all data files.

    Raises:
        UnknownDataset: DATA-001 with the nearest names. MissingFile: FILE-001. ChangedSnapshot: DATA-005.
        UnknownSubset: DATA-013. UnusableEntry: DATA-014. OfflineHub: ENV-003, the name has the form of a hub's.
    """
    if ref == SAMPLE:
        return Place(SAMPLE, ROWS_FILE)
    settings, root = model_settings(), workspace_or_here().root
    parsed = Ref(ref) if ref in settings.datasets else parse_ref(ref)
    if parsed == Ref(SAMPLE, rows=parsed.rows):
        return Place(SAMPLE, ROWS_FILE, rows=parsed.rows)
    if parsed.place in settings.datasets:
        told = parse_ref(settings.datasets[parsed.place].path)
        if told.place == SAMPLE:
            return Place(parsed.place, ROWS_FILE, rows=parsed.rows or told.rows)
        inside = str(root / Path(told.place).expanduser())
        named = replace(told, subset=parsed.subset or told.subset, rows=parsed.rows or told.rows)
        here = _place_written(replace(named, place=inside), part)
        return replace(here or _place_unnamed(named, ref, part, settings), name=parsed.place, rows=named.rows)
    found = _place_unnamed(parsed, ref, part, settings)
    return replace(found, rows=parsed.rows or found.rows)


def has_own_part(ref: str, part: str) -> bool:
    """Whether what ``ref`` means has a ``part`` of its own on this machine: other files than those to train on.

    Never asks a hub. What a pattern or a file names has no other parts.

    Raises:
        What :func:`find_place` raises for ``ref``.
    """
    place = find_place(ref)
    folder = place.path if place.path.is_dir() else place.path.parent if place.snapshot else None
    if folder is None or is_glob(ref):
        return False
    try:
        found = _place_at(folder, parse_ref(ref).subset, part)
    except (MissingFile, UnknownDataset, UnknownSubset):
        return False
    return found is not None and not {file.path for file in found.files} & {file.path for file in place.files}


def known_names() -> list[str]:
    """Every data set that works here without a path: ``sample``, configured and registered ones, those under
    ``data/``.
    """
    names = {SAMPLE, *model_settings().datasets, *_registered_names()}
    for folder in _data_folders():
        for path in folder.iterdir() if folder.is_dir() else ():
            if is_info_file(path):
                names.update(entry_names(path))
            elif suffix_of(path) in SUFFIXES:
                names.add(plain_name(path).stem)
            elif path.is_dir() and not path.name.startswith("."):
                names.add(path.name)
    return sorted(names)


def _place_unnamed(ref: Ref, written: str, part: str, settings: ModelSettings) -> Place:
    place = ref.place
    found = None if ref.hub else _place_written(ref, part)
    if found is None and ref.hub is None and "/" not in place and os.sep not in place:
        found = _place_under_data(ref, part)
    if found is not None:
        return found
    if ref.hub is None and (suffix_of(Path(place)) in SUFFIXES or is_glob(place) or looks_like_path(place)):
        raise MissingFile(path=place)
    if is_hub_id(place) and (ref.hub or not Path(place).parent.is_dir()):
        return _hub_place(ref, part, settings.hub)
    if ref.hub:
        raise OfflineHub(name=written)
    raise UnknownDataset(name=place, near=_near(place))


def _place_written(ref: Ref, part: str) -> Place | None:
    """What lies at ``ref``'s own path, or is named by its pattern."""
    path = Path(ref.place).expanduser()
    if path.exists() or not is_glob(ref.place):
        return _place_at(path, ref.subset, part)
    root = glob_root(ref.place)
    files = [DataFile(path, path.relative_to(root).as_posix()) for path in glob_files(ref.place)]
    return Place(root.absolute().name, root, files=tuple(files)) if files else None


def _place_under_data(ref: Ref, part: str) -> Place | None:
    """A registry's entry comes before a file of the same name: it knows how the file is to be read."""
    for folder in _data_folders():
        info = folder / INFO_FILE
        if is_info_file(info) and ref.place in entry_names(info):
            return _entry_place(info, ref.place, part)
        for suffix in ("", *SUFFIXES):
            for packing in _PACKED if suffix else ("",):
                found = _place_at(folder / f"{ref.place}{suffix}{packing}", ref.subset, part)
                if found is not None:
                    return found
    return None


def _near(ref: str) -> list[str]:
    """Names close to ``ref``, also among what lies beside it; all known names when none is close."""
    parent = Path(ref).expanduser().parent
    beside = [(parent / path.name).as_posix() for path in parent.iterdir()] if parent.is_dir() else []
    return get_close_matches(ref, [*known_names(), *beside], 3, 0.5) or known_names()[:_SHOWN]


def _place_at(path: Path, subset: str | None, part: str) -> Place | None:
    """The files at ``path`` or in the folder ``path``; ``None`` when nothing is there."""
    if path.is_file():
        if is_info_file(path):
            return _entry_place(path, subset, part)
        if subset:
            raise UnknownSubset(name=str(path), subset=subset, known=["-"], example=str(path))
        return Place(plain_name(path).stem, path, registration=dataset_registration(path))
    if not path.is_dir():
        return None
    if (path / SNAPSHOT).is_file():
        return _part_of_snapshot(path, part)
    return _folder_place(path, subset, part)


def _folder_place(folder: Path, subset: str | None, part: str) -> Place:
    info = folder / INFO_FILE
    if is_info_file(info):
        return _entry_place(info, subset, part)
    name = folder.absolute().name
    chosen = saved_dataset(folder, part) if not subset else None
    if chosen is None:
        chosen = carded_dataset(folder, subset, part)
    if chosen is not None:
        return Place(name, folder, files=_some(folder, chosen))
    if subset:
        return _subfolder_place(folder, subset, part)
    chosen, left_out = of_part(folder_files(folder), part)
    return Place(name, folder, files=_some(folder, chosen), left_out=tuple(file.label for file in left_out))


def _subfolder_place(folder: Path, subset: str, part: str) -> Place:
    inside = folder / subset
    if not inside.is_dir() or not inside.resolve().is_relative_to(folder.resolve()):
        known = sorted(path.name for path in folder.iterdir() if path.is_dir())
        raise UnknownSubset(
            name=str(folder), subset=subset, known=known or ["-"], example=f"{folder}:{(known or ['…'])[0]}"
        )
    return _folder_place(inside, None, part)


def _some(folder: Path, files: list[DataFile]) -> tuple[DataFile, ...]:
    """``files``, when there are any and all are there.

    Raises:
        UnknownDataset: DATA-001. MissingFile: FILE-001.
    """
    if not files:
        raise UnknownDataset(name=str(folder), near=known_names()[:_SHOWN])
    for file in files:
        if not file.path.is_file():
            raise MissingFile(path=str(file.path))
    return tuple(files)


def _entry_place(info: Path, name: str | None, part: str) -> Place:
    """An entry of LLaMA-Factory's ``dataset_info.json``."""
    if name is None:
        known = entry_names(info)
        raise UnknownSubset(name=str(info), subset="-", known=known[:40], example=f"{info}:{known[0]}")
    entry = find_entry(info, name)
    wanted = entry.part or part
    found = _place_at(entry.file, None, wanted) if entry.file else None
    if found is None:
        hubs = dict(entry.hubs)
        allowed = model_settings().hub
        hub = allowed if allowed in hubs else next(iter(hubs))
        found = _hub_place(Ref(hubs[hub], entry.subset, hub=hub), wanted, allowed)
    return replace(found, name=name, shape=entry.shape, columns=entry.columns, rows=entry.rows)


def _hub_place(ref: Ref, part: str, allowed: str) -> Place:
    """A hub's data set: the files in a cache, else what the library ``datasets`` makes of it."""
    hub = ref.hub or (allowed if allowed != "none" else None)
    found = _cached_place(ref, part, hub)
    if found is None:
        files = hub_dataset(ref.place, ref.subset, part, hub=hub, allowed=allowed)
        # The files as they were published, as the next time: their rows have lines and no fields of other rows.
        found = _cached_place(ref, part, hub) or Place(ref.place, files[0].path.parent, files=tuple(files))
    return found


def _cached_place(ref: Ref, part: str, hub: str | None) -> Place | None:
    """The files of a hub's data set in a cache, as they were published; ``None`` where they are not all there."""
    folder = hub_folder(ref.place, hub, ref.subset)
    try:
        return replace(_folder_place(folder, ref.subset, part), name=ref.place) if folder else None
    except UnknownDataset:  # nothing in it has a name that we know
        return None
    except UnknownSubset as error:
        known: Any = error.params["known"]
        named = {"name": ref.place, "example": f"{ref.place}:{known[0]}"}
        raise UnknownSubset(**{**error.params, **named}) from error


def _part_of_snapshot(folder: Path, part: str) -> Place:
    snapshot = Snapshot.read(folder / SNAPSHOT)
    if part not in snapshot.parts:
        raise MissingFile(path=str(folder / f"{snapshot.name}_{part}.jsonl"))
    path = folder / Path(snapshot.parts[part].path).name
    if not path.is_file():
        raise MissingFile(path=str(path))
    if sha256_file(path) != snapshot.parts[part].sha256:
        raise ChangedSnapshot(path=str(path), record=str(folder / SNAPSHOT))
    return Place(snapshot.name, path, snapshot, registration=dataset_registration(folder))


def _registered_names() -> list[str]:
    room = workspace_or_here().models / "datasets"
    return [path.name for path in room.iterdir() if path.is_dir()] if room.is_dir() else []


def _data_folders() -> list[Path]:
    return list(dict.fromkeys((workspace_or_here().root / "data", Path.cwd() / "data")))
