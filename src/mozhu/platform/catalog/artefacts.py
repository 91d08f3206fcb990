"""What lies at a path: a model, an adapter, a GGUF file or a run that made one of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mozhu.kernel.errors import MissingFile, MozhuError, NothingToRegister, RunWithoutArtefact
from mozhu.kernel.files import read_json
from mozhu.specs.records.result import Result
from mozhu.specs.records.run import RunSpec
from mozhu.specs.records.sidecars import REGISTRATION

# weights: tensors of which nothing says what model they make; files: anything else that was imported.
Kind = Literal["model", "adapter", "gguf", "weights", "files"]
LOOSE = ("weights", "files")
ADAPTER_CONFIG, CONFIG, BASE = "adapter_config.json", "config.json", "base.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
MANIFEST, CERTIFICATE = "manifest.json", "certificate.json"
RUN_SPEC, RUN_RESULT = "spec.json", "result.json"
# What a checkpoint holds to go on training: mostly pickled, and no part of a model.
_TRAINER_STATE = re.compile(
    r"^((optimizer|scheduler|scaler|rng_state.*|training_args)\.(pt|pth|bin)|trainer_state\.json)$"
)
# Where a run leaves what it made when its result does not say; folder names that say nothing about a model.
USUAL_PLACES = ("lora_adapter", "merged_model", "model", "gguf")


@dataclass(frozen=True)
class Run:
    """The run folder that an artefact came out of."""

    folder: Path
    spec: RunSpec
    result: Result | None


@dataclass(frozen=True)
class Artefact:
    """``path`` is a folder, or one ``.gguf`` file by itself."""

    kind: Kind
    path: Path
    run: Run | None = None

    @property
    def is_single_file(self) -> bool:
        return self.path.is_file()

    @property
    def config(self) -> dict[str, Any]:
        """``config.json`` or ``adapter_config.json``; empty where it is missing or not readable."""
        return json_object(self.beside(ADAPTER_CONFIG if self.kind == "adapter" else CONFIG))

    def beside(self, name: str) -> Path | None:
        """The file ``name`` about the artefact, ``None`` where there is none.

        In its folder; of a single file only its certificate, ``<stem>.certificate.json`` beside it.
        """
        if self.is_single_file:
            path = self.path.with_name(f"{self.path.stem}.{name}")
            return path if name == CERTIFICATE and path.is_file() else None
        path = self.path / name
        return path if path.is_file() else None

    def files(self) -> list[Path]:
        """Everything that belongs to the artefact, sorted.

        Hidden files, a trainer's state, checkpoints of a run and other versions below the folder do not; where it is
        no model only hidden files do not.
        """
        if self.is_single_file:
            return [self.path]
        return sorted(_all_below(self.path) if self.kind in LOOSE else _files_below(self.path))


def find_artefact(path: Path) -> Artefact:
    """What can be registered or checked at ``path``.

    A run folder gives the first artefact of its result (an adapter before a merged model); a folder inside a
    run keeps the run as the source of names and figures.

    Raises:
        MissingFile: FILE-001. NothingToRegister: REG-003. RunWithoutArtefact: REG-009.
    """
    path = path.absolute()
    if not path.exists():
        raise MissingFile(path=str(path))
    if path.is_dir() and (path / RUN_SPEC).is_file() and kind_of(path) is None:
        return _artefact_of_run(path)
    kind = kind_of(path)
    if kind is None:
        found = sorted(item.name for item in path.iterdir())[:10] if path.is_dir() else [path.name]
        raise NothingToRegister(path=str(path), found=found)
    return Artefact(kind, _whole(path), _run_around(path))


def kind_of(path: Path) -> Kind | None:
    """The kind of what lies at ``path``, by its files; ``None`` when it is none of them.

    What was imported and is no model is what its registration says.
    """
    if path.is_file():
        return "gguf" if path.suffix == ".gguf" else None
    registered = json_object(path / REGISTRATION).get("kind") if (path / REGISTRATION).is_file() else None
    if registered in LOOSE:
        return "files" if registered == "files" else "weights"
    if (path / ADAPTER_CONFIG).is_file() and (
        (path / ADAPTER_WEIGHTS).is_file() or not (path / CONFIG).is_file()
    ):
        return "adapter"
    if (path / CONFIG).is_file():
        return "model"
    return "gguf" if any(path.glob("*.gguf")) else None


def json_object(path: Path | None) -> dict[str, Any]:
    """The JSON object in ``path``, empty where there is none: for facts that are welcome and not needed."""
    if path is None:
        return {}
    try:
        value = read_json(path)
    except (MozhuError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _whole(path: Path) -> Path:
    """The folder of a ``.gguf`` file whose manifest is about that file, else ``path``."""
    if path.is_dir():
        return path
    listed = json_object(path.parent / MANIFEST).get("files")
    names = (
        [str(file.get("path")) for file in listed if isinstance(file, dict)]
        if isinstance(listed, list)
        else []
    )
    return path.parent if [name for name in names if name.endswith(".gguf")] == [path.name] else path


def _files_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not path.name.startswith("checkpoint-") and not (path / REGISTRATION).is_file():
                yield from _files_below(path)
        elif not _TRAINER_STATE.match(path.name):
            yield path


def _all_below(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _all_below(path)
        else:
            yield path


def _artefact_of_run(folder: Path) -> Artefact:
    run = _read_run(folder)
    if run.result is None or run.result.state != "succeeded":
        raise RunWithoutArtefact(path=str(folder), state=run.result.state if run.result else "running")
    named = [artefact.path for artefact in run.result.artefacts]
    places = [folder / name for name in (*named, *USUAL_PLACES)]
    found = [(kind, place) for place in places if place.exists() and (kind := kind_of(place))]
    if not found:
        raise RunWithoutArtefact(path=str(folder), state=run.result.state)
    order = ("adapter", "model", "gguf")
    kind, place = min(found, key=lambda item: order.index(item[0]))
    return Artefact(kind, place.absolute(), run)


def _run_around(path: Path) -> Run | None:
    for folder in (path, *list(path.parents)[:2]):
        if (folder / RUN_SPEC).is_file():
            try:
                return _read_run(folder)
            except MozhuError:
                return None
    return None


def _read_run(folder: Path) -> Run:
    spec = RunSpec.read(folder / RUN_SPEC)
    result = folder / RUN_RESULT
    return Run(folder, spec, Result.read(result) if result.is_file() else None)
