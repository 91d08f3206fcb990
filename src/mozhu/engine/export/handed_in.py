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


def pickles_of(ref: str) -> list[Path]:
    """The pickles that would have to be opened for what ``ref`` means; none where it is safetensors."""
    path = Path(ref).expanduser()
    if path.is_file():
        return [path] if path.suffix in PICKLED else []
    if path.is_dir() and _only_pickles(path):
        return [path / name for name in pickled_files(path)]
    found = _found(ref)
    try:
        ModelFolder.open(found.path)
    except UnsafeWeights:
        return [found.path / name for name in pickled_files(found.path)]
    return []


def open_safe(ref: str) -> Source:
    """What ``ref`` means, where it is safetensors.

    Raises:
        NotConvertible: EXPORT-034, it is a GGUF file. What find_model raises.
    """
    path = Path(ref).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        raise NotConvertible(path=str(path), reason=text("export.reason.is_gguf"))
    if path.is_file() and path.suffix == ".safetensors":
        home = path.resolve().parent
        if not is_model_folder(home) or [one.name for one in ModelFolder.open(home).shards] != [path.name]:
            return Source(path, path.parent, (path,), stamps=_stamps((path,)))
        ref = str(home)
    found = _found(ref)
    model = ModelFolder.open(found.path)
    return Source(found.path, found.path, model.shards, model, found, stamps=_stamps(model.shards))


def _opened(path: Path, ref: str, folder: Path, emit: Emit) -> Source:
    pickles = pickles_of(ref)
    if not pickles:
        return open_safe(ref)
    if not path.is_file():
        return _unpickled(pickles[0].parent, pickles[0].parent, pickles, folder, emit)
    given = folder / _GIVEN
    shutil.rmtree(given, ignore_errors=True)
    _lay_together(path, given)
    return _unpickled(path, given, pickles, folder, emit)


def _only_pickles(path: Path) -> bool:
    return bool(pickled_files(path)) and not any(path.glob("*.safetensors"))


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
