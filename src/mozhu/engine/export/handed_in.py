"""What ``mozhu convert --format safetensors`` is given: a model, an adapter, weights alone, or pickles made safe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozhu.engine.intake.findings import is_refused
from mozhu.engine.intake.inspect import SAFE, inspect_path, message_of
from mozhu.engine.intake.limits import Limits
from mozhu.engine.scoring.sealing import source_entry
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.folder import ADAPTER_CONFIG, CONFIG, ModelFolder, is_model_folder
from mozhu.engine.weights.references import FoundModel, find_model
from mozhu.engine.weights.shards import pickled_files
from mozhu.kernel.errors import AdapterWithoutBase, MissingFile, NotConvertible, UnsafeWeights
from mozhu.kernel.files import make_folder, sha256_file, writing
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.records.certificate import Certificate

PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_GIVEN = "given"
_BESIDE = (".json", ".txt", ".model", ".jinja", ".md")
_LARGEST_BESIDE = 256 << 20
_SHOWN = 12


@dataclass(frozen=True)
class Source:
    """``path`` is what was named and ``home`` the folder it lies in; ``files`` are safetensors.

    ``model``: the whole of it, ``None`` for weights alone. ``found``: ``None`` where it cannot be loaded as it is.
    ``pickles``: what the files were made from, where they were made here; ``proof`` is the certificate of that.
    """

    path: Path
    home: Path
    files: tuple[Path, ...]
    model: ModelFolder | None = None
    found: FoundModel | None = None
    pickles: tuple[Path, ...] = ()
    proof: Certificate | None = None
    stamps: list[Any] = field(default_factory=list)

    def made_from(self, artefact: Path) -> list[dict[str, Any]]:
        """For the certificate of ``artefact``."""
        if self.pickles:
            return [source_entry("pickle", path, artefact, file=sha256_file(path)) for path in self.pickles]
        if self.model is not None:
            own = fingerprint(self.model.path)["whole"]
            return [source_entry("source", self.model.path, artefact, fingerprint=own)]
        return [source_entry("weights", path, artefact, file=sha256_file(path)) for path in self.files]


@contextmanager
def opened(ref: str, folder: Path, emit: Emit) -> Iterator[Source]:
    """What ``ref`` means; pickles are turned into safetensors in ``folder``, which are gone afterwards.

    Raises:
        NotConvertible: EXPORT-034, the pickles are not safe or hold no weights. What find_model raises.
    """
    path = Path(ref).expanduser()
    try:
        yield _opened(path, ref, folder, emit)
    finally:
        for name in (_GIVEN, SAFE):
            shutil.rmtree(folder / name, ignore_errors=True)


def _opened(path: Path, ref: str, folder: Path, emit: Emit) -> Source:
    if path.is_file() and path.suffix in (".safetensors", ".gguf", *PICKLED):
        return _file(path, folder, emit)
    if path.is_dir() and _only_pickles(path):
        return _unpickled(path, path, [path / name for name in pickled_files(path)], folder, emit)
    found = _found(ref)
    try:
        model = ModelFolder.open(found.path)
    except UnsafeWeights:
        pickles = [found.path / name for name in pickled_files(found.path)]
        return _unpickled(found.path, found.path, pickles, folder, emit)
    return Source(found.path, found.path, model.shards, model, found, stamps=_stamps(model.shards))


def _only_pickles(path: Path) -> bool:
    return bool(pickled_files(path)) and not any(path.glob("*.safetensors"))


def _file(path: Path, folder: Path, emit: Emit) -> Source:
    if path.suffix == ".safetensors":
        home = path.resolve().parent
        if is_model_folder(home) and [file.name for file in ModelFolder.open(home).shards] == [path.name]:
            return _opened(home, str(home), folder, emit)
        return Source(path, path.parent, (path,), stamps=_stamps((path,)))
    if path.suffix not in PICKLED:
        raise NotConvertible(path=str(path), reason=text("export.reason.is_gguf"))
    given = folder / _GIVEN
    shutil.rmtree(given, ignore_errors=True)
    _lay_together(path, given)
    return _unpickled(path, given, [path], folder, emit)


def _lay_together(weights: Path, given: Path) -> None:
    """The file and the settings and words that lie beside it, where those of a model or adapter do."""
    make_folder(given)
    beside = sorted(weights.parent.iterdir()) if is_model_folder(weights.parent) else []
    texts = [
        other
        for other in beside
        if other.is_file()
        and other.suffix in _BESIDE
        and not other.name.endswith(".index.json")
        and other.stat().st_size <= _LARGEST_BESIDE
    ]
    for other in (weights, *texts):
        with writing(given / other.name):
            try:
                os.link(other.resolve(), given / other.name)
            except OSError:
                shutil.copyfile(other, given / other.name)


def _unpickled(named: Path, place: Path, pickles: list[Path], folder: Path, emit: Emit) -> Source:
    """Pickles by way of the shut-in process.

    Raises:
        NotConvertible: EXPORT-034 with every reason.
    """
    done = inspect_path(place, folder, Limits(), emit, convert=True)
    for finding in done.findings:
        if finding.level != "error":
            emit("finding", level=finding.level, code=finding.code, params=finding.params)
    if is_refused(done.findings) or not done.converted or done.place is None:
        faults = [message_of(finding) for finding in done.findings][:_SHOWN]
        reason = text("export.reason.refused_pickle", problems="; ".join(faults) or "-")
        raise NotConvertible(path=str(named), reason=reason)
    root = done.place / (done.recognised.root if done.recognised else ".")
    pickles = [path for path in pickles if path.name != "training_args.bin"]
    if not ((root / CONFIG).is_file() or (root / ADAPTER_CONFIG).is_file()):
        files = tuple(done.place / name for name in done.converted)
        return Source(
            named, root, files, pickles=tuple(pickles), proof=done.certificate, stamps=_stamps(pickles)
        )
    model = ModelFolder.open(root)
    return Source(
        named,
        root,
        model.shards,
        model,
        _found(str(root)),
        tuple(pickles),
        done.certificate,
        _stamps(pickles),
    )


def _found(ref: str) -> FoundModel:
    """The model; of an adapter whose base is not here the adapter alone."""
    try:
        return find_model(ref)
    except AdapterWithoutBase as error:
        path = Path(str(error.params["path"]))
        if not path.is_dir():
            raise MissingFile(path=ref) from error
        return FoundModel(path.name, path, path, path)


def _stamps(files: tuple[Path, ...] | list[Path]) -> list[Any]:
    """Equal for unchanged files."""
    return [[str(path.resolve()), stat.st_size, stat.st_mtime_ns] for path in files for stat in [path.stat()]]
