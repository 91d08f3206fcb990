"""Where a version lies in the tree of seed 000, and how its files get there: whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from mozhu.kernel.errors import DamagedArtefact
from mozhu.kernel.files import make_folder, reading, sync_file, sync_folder, writing
from mozhu.kernel.gguf import read_gguf_file
from mozhu.platform.catalog.artefacts import CERTIFICATE, Artefact, kind_of
from mozhu.platform.catalog.problems import fault
from mozhu.platform.catalog.sidecars import INFO, README
from mozhu.platform.storage.addresses import BLOBS
from mozhu.specs.records.dataset import SNAPSHOT
from mozhu.specs.records.manifest import Manifest
from mozhu.specs.records.sidecars import REGISTRATION

STAGING = ".staging"
FOLDER_MODE, FILE_MODE = 0o750, 0o640
# Weights are linked, everything else is small and copied, so that editing the source changes no version.
LINKED = {".safetensors", ".gguf", ".onnx", ".plan"}
_FAMILIES = ("qwen", "llama")
_CHUNK_BYTES = 1 << 20
_STALE_S = 24 * 3600


def place_of(models: Path, artefact: Artefact, *, model_type: str, name: str, version: str) -> Path:
    """The folder of a version, for example ``finetuned/lora/<name>/<version>``.

    Where ``<name>`` itself holds a version that was registered as it lay, the new one lies beside it.
    """
    room = models / "pretrained" / family_of(artefact) if model_type == "pretrained" else None
    parent = (room or models / "finetuned" / model_type) / name
    return parent.with_name(f"{name}-{version}") if kind_of(parent) else parent / version


def family_of(artefact: Artefact) -> str:
    """``qwen``, ``llama`` or ``custom``: the folder of a pretrained model."""
    if artefact.kind == "gguf":
        architecture = _gguf_architecture(artefact)
    else:
        architecture = str(artefact.config.get("model_type", ""))
    return next((family for family in _FAMILIES if architecture.lower().startswith(family)), "custom")


def path_within(models: Path, path: Path) -> str | None:
    """``path`` relative to ``5_models`` (POSIX), ``None`` where it lies elsewhere."""
    for inner, outer in ((path.absolute(), models.absolute()), (path.resolve(), models.resolve())):
        if inner.is_relative_to(outer) and inner != outer:
            return inner.relative_to(outer).as_posix()
    return None


@contextmanager
def staging(models: Path) -> Iterator[Path]:
    """An empty folder on the file system of ``5_models`` that is gone when the block ends."""
    room = models / STAGING
    make_folder(models)
    _sweep(room)
    folder = room / f"{os.getpid()}-{secrets.token_hex(4)}"
    with writing(folder):
        folder.mkdir(parents=True, mode=FOLDER_MODE)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            room.rmdir()


def bring_files(artefact: Artefact, manifest: Manifest, target: Path, *, copy: bool) -> None:
    """Bring the files of ``manifest``, the certificate and the README into ``target``.

    Weights become hard links where the file system allows it and ``copy`` is not asked for; what is copied is
    held against its hash on the way.

    Raises:
        DamagedArtefact: REG-005 when a file changed since it was hashed. DiskFull: FILE-003.
    """
    root = artefact.path.parent if artefact.is_single_file else artefact.path
    for file in manifest.files:
        source, place = root / file.path, target / file.path
        make_folder(place.parent)
        if copy or not _link(source, place):
            found = copy_file(source, place)
            if found != file.sha256:
                damage = fault(file.path, "sha256", expected=file.sha256[:19], found=found[:19])
                raise DamagedArtefact(path=str(artefact.path), count=1, problems=damage.line())
    for name in (CERTIFICATE, README):
        beside = artefact.beside(name)
        if beside is not None and not (target / name).exists():
            copy_file(beside, target / name)


def close_folder(folder: Path) -> None:
    """Give the files that were written here their rights: nobody outside the group reads them."""
    with writing(folder):
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(FOLDER_MODE)
            elif path.stat().st_nlink == 1 and not path.is_symlink():
                path.chmod(FILE_MODE)


def move_in(folder: Path, target: Path, *, is_synced: bool = False) -> None:
    """Make ``folder`` the folder ``target``, which must not be there, in one durable step."""
    make_folder(target.parent)
    with writing(target):
        if not is_synced:
            sync_folder(folder)
        os.rename(folder, target)
        sync_folder(target.parent)


def version_folders(models: Path) -> Iterator[Path]:
    """Every folder below ``5_models`` that has a ``model_info.json``, in the order of their paths.

    Versions of data sets have a record of the same name and are none.
    """
    if not models.is_dir():
        return
    for path in sorted(models.iterdir()):
        if path.name.startswith(".") or not path.is_dir() or path.name == BLOBS:
            continue
        if (path / INFO).is_file() or ((path / REGISTRATION).is_file() and not (path / SNAPSHOT).is_file()):
            yield path
        if not path.is_symlink():
            yield from version_folders(path)


def _link(source: Path, place: Path) -> bool:
    if source.suffix not in LINKED:
        return False
    try:
        os.link(os.path.realpath(source), place)
    except OSError:
        return False
    return True


def copy_file(source: Path, place: Path) -> str:
    """Copy a file to disk and return ``sha256:<hex>`` of what was read."""
    digest = hashlib.sha256()
    with reading(source), open(source, "rb") as file, writing(place), open(place, "wb") as out:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            out.write(chunk)
        sync_file(out, place)
    return f"sha256:{digest.hexdigest()}"


def _sweep(room: Path) -> None:
    """Remove what processes that are gone left behind, a day after."""
    for folder in room.iterdir() if room.is_dir() else ():
        with suppress(OSError, ValueError):
            owner = int(folder.name.split("-")[0])
            if not psutil.pid_exists(owner) and time.time() - folder.stat().st_mtime > _STALE_S:
                shutil.rmtree(folder, ignore_errors=True)


def _gguf_architecture(artefact: Artefact) -> str:
    for path in artefact.files():
        if path.suffix == ".gguf":
            return str(read_gguf_file(path).metadata.get("general.architecture", ""))
    return ""
