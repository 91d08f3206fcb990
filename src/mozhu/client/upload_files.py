"""The files that are to be sent: which, how large, with which hashes, and whether they are still the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.errors import BadUploadFiles, FileChangedMeanwhile, MissingFile
from mozhu.kernel.files import reading
from mozhu.kernel.texts import text

_PIECE_BYTES = 1 << 20
# What a download that broke off, or a file manager, leaves beside a model.
_LITTER = (".part", ".tmp")


@dataclass(frozen=True)
class LocalFile:
    """``path`` is its name in the upload; ``changed_ns`` when its content changed last."""

    path: str
    place: Path
    size: int
    changed_ns: int

    def check_unchanged(self) -> None:
        """It has the size and time it had when it was looked at.

        Raises:
            FileChangedMeanwhile: UPLOAD-012.
        """
        with reading(self.place):
            now = os.stat(self.place)
        if (now.st_size, now.st_mtime_ns) != (self.size, self.changed_ns):
            raise FileChangedMeanwhile(path=str(self.place))

    def pieces(self, start: int, end: int, piece_bytes: int = _PIECE_BYTES) -> Iterator[bytes]:
        """The bytes from ``start`` up to ``end``.

        Raises:
            FileChangedMeanwhile: UPLOAD-012, it has become shorter.
        """
        with reading(self.place), open(self.place, "rb", buffering=0) as file:
            file.seek(start)
            while start < end:
                piece = file.read(min(piece_bytes, end - start))
                if not piece:
                    raise FileChangedMeanwhile(path=str(self.place))
                start += len(piece)
                yield piece


@dataclass(frozen=True)
class Chosen:
    """The files of an upload in their order, and what lies there and is not sent: hidden files, litter."""

    files: tuple[LocalFile, ...]
    left_out: tuple[str, ...]

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files)


def choose_files(path: Path) -> Chosen:
    """One file, or all files below a folder but hidden ones and what downloads leave behind.

    Raises:
        MissingFile: FILE-001. BadUploadFiles: UPLOAD-010, there is nothing to send.
    """
    if path.is_file():
        return Chosen((_local_file(path.name, path),), ())
    if not path.is_dir():
        raise MissingFile(path=str(path))
    found: list[str] = []
    left_out: list[str] = []
    for place in sorted(_below(path)):
        name = place.relative_to(path).as_posix()
        is_litter = name.endswith(_LITTER) or any(part.startswith(".") for part in name.split("/"))
        (left_out if is_litter else found).append(name)
    if not found:
        raise BadUploadFiles(count=1, problems=text("uploads.problem.none"))
    return Chosen(tuple(_local_file(name, path / name) for name in found), tuple(left_out))


def sha256_of(
    file: LocalFile,
    seen: Callable[[int], None],
    start: int = 0,
    end: int | None = None,
) -> str:
    """``sha256:<hex>`` of the bytes from ``start`` up to ``end``; ``seen`` is told how many each time."""
    hashed = hashlib.sha256()
    for piece in file.pieces(start, file.size if end is None else end):
        hashed.update(piece)
        seen(len(piece))
    return f"sha256:{hashed.hexdigest()}"


def read_range(file: LocalFile, start: int, end: int) -> bytes:
    return b"".join(file.pieces(start, end))


def paths_of(files: Sequence[LocalFile]) -> dict[str, LocalFile]:
    return {file.path: file for file in files}


def _below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        for name in names:
            if (Path(parent) / name).is_file():
                yield Path(parent) / name


def _local_file(name: str, place: Path) -> LocalFile:
    with reading(place):
        found = os.stat(place)
    return LocalFile(name, place, found.st_size, found.st_mtime_ns)
