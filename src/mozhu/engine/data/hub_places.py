"""Data sets by their hub's name: what lies in a cache, and what the user allows to be fetched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mozhu.engine.data.folders import DataFile
from mozhu.engine.weights.hub_cache import huggingface_cache, is_hub_id
from mozhu.engine.weights.hub_errors import told_to_stay_offline
from mozhu.kernel.errors import OfflineHub
from mozhu.kernel.files import read_text
from mozhu.kernel.slots import load


def hub_folder(name: str, hub: str | None, subset: str | None = None) -> Path | None:
    """The folder of files of ``owner/name`` in a hub's cache on this machine, or ``None``.

    A folder in which a download was not finished, or only that of another subset, does not count: its rows would
    be some of the rows.
    """
    if not is_hub_id(name):
        return None
    if hub != "modelscope":
        repository = huggingface_cache() / f"datasets--{name.replace('/', '--')}"
        commit = repository / "refs" / "main"
        if commit.is_file():
            folder = repository / "snapshots" / read_text(commit).strip()
            if folder.is_dir() and any(folder.iterdir()) and _is_whole(repository, folder, name, subset):
                return folder
    return None if hub == "huggingface" else _modelscope_folder(name)


def hub_dataset(name: str, subset: str | None, part: str, *, hub: str | None, allowed: str) -> list[DataFile]:
    """The Arrow files that ``datasets.load_dataset`` made of ``name``, now or earlier.

    Args:
        hub: The hub that was written before the name, if any.
        allowed: The hub that the settings allow to be asked: ``none``, ``huggingface`` or ``modelscope``.

    Raises:
        OfflineHub: ENV-003, it is not here and may not be fetched (ModelScope's own client is never called).
        HubFailed: ENV-005. UnknownSubset: DATA-013.
    """
    online = allowed == "huggingface" and hub != "modelscope" and not told_to_stay_offline()
    if hub == "modelscope" or not (online or _is_prepared(name)):
        raise OfflineHub(name=name)
    files: Callable[..., list[DataFile]] = load("mozhu.rooms", "hub_files")
    return files(name, subset, part, online=online)


def _modelscope_folder(name: str) -> Path | None:
    """ModelScope's cache: ``datasets/owner/name``, dots of the name as ``___``."""
    named = os.environ.get("MODELSCOPE_CACHE")
    root = Path(named).expanduser() if named else Path.home() / ".cache" / "modelscope"
    owner, _, short = name.partition("/")
    for base in (root / "hub" / "datasets", root / "datasets"):
        for spelled in (short, short.replace(".", "___")):
            folder = base / owner / spelled
            if folder.is_dir():
                downloads = folder / "master" / "data_files"
                return downloads if downloads.is_dir() else folder
    return None


def _is_whole(repository: Path, folder: Path, name: str, subset: str | None) -> bool:
    """Whether nothing of a download is missing, as far as the cache can tell.

    ``datasets`` fetches file by file, also only those of one subset, and leaves a trace of having looked for a
    script; what it began it has finished when its own files of the subset are there.
    """
    if any((repository / "blobs").glob("*.incomplete")):
        return False
    script = repository / ".no_exist" / folder.name / f"{name.partition('/')[2]}.py"
    return not script.exists() or all(
        _is_prepared(name, one) for one in (subset.split("/") if subset else [""])
    )


def _is_prepared(name: str, subset: str | None = None) -> bool:
    """Whether ``datasets`` has made its own Arrow files of ``name`` before; of ``subset``, where one is given."""
    named = os.environ.get("HF_DATASETS_CACHE")
    home = huggingface_cache().parent
    root = Path(named).expanduser() if named else home / "datasets"
    folder = root / name.replace("/", "___")
    if subset is None or not folder.is_dir():
        return folder.is_dir()
    wanted = subset or "default"
    made = [path.parent.parent.parent.name for path in folder.glob("*/*/*/dataset_info.json")]
    return any(found == wanted or found.startswith(f"{wanted}-") for found in made)
