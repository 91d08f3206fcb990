"""Data sets through the library ``datasets``; it reads its own cache, and the network only when that is allowed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import datasets.data_files
import huggingface_hub.constants as hub_constants

from mozhu.engine.data.folders import DataFile, choose_part
from mozhu.engine.weights.hub_errors import broken_off, causes, first_words
from mozhu.kernel.errors import HubFailed, MozhuError, OfflineHub, UnknownSubset
from mozhu.kernel.texts import text

_LISTED = re.compile(r"(\[(?:'[^']*'(?:, )?)+\])")
_EMPTY = (datasets.data_files.EmptyDatasetError, datasets.exceptions.DataFilesNotFoundError)
_SCRIPT = "scripts are no longer supported"


def hub_files(name: str, subset: str | None, part: str, *, online: bool) -> list[DataFile]:
    """The Arrow files of one part of ``name``; the code of a data set's repository is never run.

    Raises:
        OfflineHub: ENV-003, nothing may be fetched. HubFailed: ENV-005, the hub did not give it.
        UnknownSubset: DATA-013.
    """
    files: list[DataFile] = []
    with _network(online):
        for config in subset.split("/") if subset else [None]:
            found = _load(name, config, online)
            chosen = choose_part(list(found), part, name)
            label = f"{name}{':' + config if config else ''}/{chosen}"
            paths = [Path(file["filename"]) for file in found[chosen].cache_files]
            files += [DataFile(path, f"{label}/{path.name}") for path in paths]
    return files


def _load(name: str, config: str | None, online: bool) -> datasets.DatasetDict:
    try:
        return datasets.load_dataset(name, config)
    except Exception as error:
        if known := _subsets(error):
            subset = config or "default"
            raise UnknownSubset(
                name=name, subset=subset, known=known, example=f"{name}:{known[0]}"
            ) from error
        if not online:
            raise OfflineHub(name=name) from error
        raise _failed(name, error) from error


def _subsets(error: Exception) -> list[str]:
    """The subsets that the message of ``datasets`` lists where one is missing or wrong."""
    listed = _LISTED.search(str(error)) if isinstance(error, ValueError) else None
    return [str(found) for found in ast.literal_eval(listed[1])] if listed else []


def _failed(name: str, error: Exception) -> MozhuError:
    """What went wrong between us and the hub, in words; the library raises dozens of kinds of errors."""
    chain = list(causes(error))
    lost = broken_off(error)
    reason = "broken"
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        reason = "gated" if "gated" in str(error) else "missing"  # the library drops what it came from
    elif any(isinstance(cause, _EMPTY) for cause in chain):
        reason = "empty"
    elif _SCRIPT in str(error):
        reason = "script"
    elif lost:
        reason = "network"
    detail = first_words(lost or chain[-1])
    words = text(f"data.hub.{reason}", **({"detail": detail} if reason in {"network", "broken"} else {}))
    how = text(f"data.hub.{reason}.next")
    return HubFailed(name=name, address=hub_constants.ENDPOINT, reason=words, how=how)


@contextmanager
def _network(online: bool) -> Iterator[None]:
    """Forbid the network to both libraries unless it is allowed, also where they were imported before."""
    before = (
        hub_constants.HF_HUB_OFFLINE,
        datasets.config.HF_HUB_OFFLINE,
        hub_constants.HF_HUB_DISABLE_TELEMETRY,
    )
    hub_constants.HF_HUB_DISABLE_TELEMETRY = True  # what is fetched is the hub's business, who fetches is not
    if not online:
        hub_constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub_constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before[:2]
        hub_constants.HF_HUB_DISABLE_TELEMETRY = before[2]
