"""Where an artefact goes: nothing of somebody else's is replaced, and the disk is known to hold it."""

from __future__ import annotations

from pathlib import Path

from mozhu.kernel.errors import DiskFull, OutputInsideInput, TargetExists
from mozhu.kernel.files import free_bytes, human_size

_MARGIN_BYTES = 64 << 20


def check_folder_target(target: Path, *, mark: str, inputs: list[Path], overwrite: bool) -> None:
    """``target`` may become the new folder: absent, empty, made by the same verb (it holds ``mark``), or
    allowed.

    Raises:
        OutputInsideInput: EXPORT-007. TargetExists: FILE-007.
    """
    for source in inputs:
        if _same_or_inside(target, source) or _same_or_inside(source, target):
            raise OutputInsideInput(path=str(target), source=str(source))
    if not target.exists():
        return
    empty = target.is_dir() and not any(target.iterdir())
    if not (empty or (target.is_dir() and ((target / mark).is_file() or overwrite))):
        raise TargetExists(path=str(target))


def check_space(target: Path, needed_bytes: int) -> None:
    """The file system of ``target`` has room for ``needed_bytes``.

    Raises:
        DiskFull: FILE-003.
    """
    free = free_bytes(target)
    if free and free < needed_bytes + _MARGIN_BYTES:
        raise DiskFull(path=str(target), free=human_size(free))


def resolved(path: str) -> Path:
    """A relative path starts where the user stands."""
    return Path(path).expanduser().absolute()


def from_folder(path: Path, folder: Path) -> str:
    """``path`` as a record in ``folder`` writes it: relative where it lies inside, whole where it does
    not.
    """
    path, folder = path.absolute(), folder.absolute()
    return path.relative_to(folder).as_posix() if folder in path.parents else str(path)


def _same_or_inside(path: Path, folder: Path) -> bool:
    path, folder = path.resolve(), folder.resolve()
    return path == folder or folder in path.parents
