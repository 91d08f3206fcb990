"""Data sets through the library ``datasets``; it reads its own cache, and the network only when that is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import huggingface_hub.constants as hub_constants

from mozhu.engine.data.folders import DataFile, choose_part
from mozhu.kernel.errors import OfflineHub, UnknownSubset


def hub_files(name: str, subset: str | None, part: str, *, online: bool) -> list[DataFile]:
    """The Arrow files of one part of ``name``; the code of a data set's repository is never run.

    Raises:
        OfflineHub: ENV-003. UnknownSubset: DATA-013.
    """
    files: list[DataFile] = []
    with _network(online):
        for config in subset.split("/") if subset else [None]:
            found = _load(name, config)
            chosen = choose_part(list(found), part, name)
            label = f"{name}{':' + config if config else ''}/{chosen}"
            paths = [Path(file["filename"]) for file in found[chosen].cache_files]
            files += [DataFile(path, f"{label}/{path.name}") for path in paths]
    return files


def _load(name: str, config: str | None) -> datasets.DatasetDict:
    try:
        return datasets.load_dataset(name, config)
    except (datasets.exceptions.DatasetNotFoundError, ConnectionError) as error:
        raise OfflineHub(name=name) from error
    except ValueError as error:  # its message lists what there is
        known = str(error).splitlines()[0]
        raise UnknownSubset(name=name, subset=config or "default", known=[known], example=name) from error


@contextmanager
def _network(online: bool) -> Iterator[None]:
    """Forbid the network to both libraries unless it is allowed, also where they were imported before."""
    before = hub_constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if not online:
        hub_constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub_constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
