"""The tokens of a training: made once, then found again by everything that decides them.

Imports neither torch nor transformers, and loads neither where the tokens are there.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mozhu.engine.data.token_cache import ENTRY, DamagedEntry, Entry, TokenCache, finish_entry, token_cache
from mozhu.engine.data.token_store import TokenStore
from mozhu.engine.training.engine import TrainingData
from mozhu.engine.training.lost_rows import check_lost
from mozhu.engine.training.staged import staged
from mozhu.engine.training.token_request import OVER_LENGTH, REJECTED, TRAIN, VALIDATION, TokenRequest
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import FoundModel
from mozhu.kernel import slots
from mozhu.kernel.files import make_folder, read_json, replacing, writing
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.train import TrainSpec

_PRIVATE = ".tokens-"


def training_data(
    spec: TrainSpec, found: FoundModel, model: ModelFolder, folder: Path, emit: Emit
) -> TrainingData:
    """Both parts as examples that lie on disk; every row that is rejected, cut or dropped is reported.

    Where the tokens were made before, nothing is read, rendered or encoded again and the same findings are told.
    In ``folder`` lie ``rejected.jsonl`` and ``over_length.jsonl`` when there are such rows.

    Raises:
        NoUsableRows: DATA-003. NoTrainableTokens: TRAIN-001. ParityBroken: DATA-250. TooManyLostRows: TRAIN-008.
        What the data raise when they are read.
    """
    request = TokenRequest.of(spec, found.base, model)
    make_folder(folder)
    _remove_private(folder)
    cache = token_cache()
    private = None
    if spec.token_cache and cache.writable:
        entry = _cached(request, cache, emit)
    else:
        private = tempfile.TemporaryDirectory(prefix=_PRIVATE, dir=folder, ignore_cleanup_errors=True)
        path = Path(private.name)
        entry = Entry(path, finish_entry(path, "", _builder(request, emit)(path)))
    _copy_lists(entry.path, folder)
    check_lost(spec, entry.facts["refs"])
    return _opened(spec, entry, private)


def open_training_data(spec: TrainSpec, place: Path) -> TrainingData:
    """The examples that :func:`training_data` of another process found or made in ``place``."""
    return _opened(spec, Entry(place, read_json(place / ENTRY)), None)


def _opened(spec: TrainSpec, entry: Entry, keep: object) -> TrainingData:
    parts = [staged(TokenStore(entry.path, entry.path / name), spec.stage) for name in (TRAIN, VALIDATION)]
    classes = tuple(entry.facts["classes"])
    return TrainingData(parts[0], parts[1], keep=keep, classes=classes, place=entry.path)


def _cached(request: TokenRequest, cache: TokenCache, emit: Emit) -> Entry:
    """The entry of ``request``: found, or made by this process while others wait for it."""
    key = request.key()
    entry = _found(cache, key, emit)
    if entry is None:
        with cache.locked(key, lambda: emit("log", message=text("train.tokens.waiting"))):
            entry = _found(cache, key, emit)
            if entry is None:
                return cache.make(key, _builder(request, emit))
    for event in entry.facts["events"]:
        emit(event["kind"], **{name: value for name, value in event.items() if name != "kind"})
    numbers = {"examples": entry.facts["train"] + entry.facts["validation"], "tokens": entry.facts["tokens"]}
    emit("log", message=text("train.tokens.reused", **numbers))
    return entry


def _found(cache: TokenCache, key: str, emit: Emit) -> Entry | None:
    try:
        return cache.find(key)
    except DamagedEntry as error:
        emit("log", message=text("train.tokens.damaged", path=str(error)))
        return None


def _builder(request: TokenRequest, emit: Emit) -> Callable[[Path], dict[str, Any]]:
    """Reads, renders and encodes; loaded only where it is needed, for it brings transformers."""
    build = slots.load("mozhu.rooms", "build_tokens")
    return lambda place: build(request, place, emit)


def _copy_lists(source: Path, folder: Path) -> None:
    """The lists of lost rows beside the run's records; a list that no longer holds is removed."""
    for name in (REJECTED, OVER_LENGTH):
        if (source / name).is_file():
            with open(source / name, "rb") as file, replacing(folder / name) as target:
                shutil.copyfileobj(file, target)
        elif (folder / name).is_file():
            with writing(folder / name):
                (folder / name).unlink()


def _remove_private(folder: Path) -> None:
    """Tokens that an earlier start of this run kept for itself and could not clear away."""
    for path in folder.glob(f"{_PRIVATE}*"):
        shutil.rmtree(path, ignore_errors=True)
