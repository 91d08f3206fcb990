"""Files that are whole or absent: atomic writes, hashes, JSON and JSON lines with clear errors."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, BinaryIO

from mozhu.kernel.errors import BadJson, DiskFull, MissingFile, MozhuError, NotReadable, NotText, NotWritable

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_RIGHT = {errno.EACCES, errno.EPERM, errno.EROFS}
_CHUNK_BYTES = 1 << 20
# Files that are to be synced at the end of the block that is open, if one is.
_unsynced: ContextVar[list[Path] | None] = ContextVar("unsynced", default=None)
# How the writers below call what they have in the making.
_LEFTOVER = re.compile(r"\.(?P<name>.+)\.(?:\d+\.(?P<kind>new|old|tmp)|[a-z0-9_]{8}\.tmp)")


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn what the system says while ``path`` is written into a catalogued error.

    Raises:
        DiskFull: FILE-003. NotWritable: FILE-002.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise DiskFull(path=str(path), free=human_size(free_bytes(path))) from error
        raise NotWritable(path=str(path), reason=error.strerror or str(error)) from error


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn what the system says while ``path`` is read into FILE-001 or FILE-005."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingFile(path=str(path)) from error
    except OSError as error:
        raise NotReadable(path=str(path), reason=error.strerror or str(error)) from error


def make_folder(path: str | Path) -> Path:
    """Make ``path`` and its parents; nothing happens when it is there."""
    with writing(path):
        Path(path).mkdir(parents=True, exist_ok=True)
    return Path(path)


def write_bytes(path: str | Path, content: bytes) -> None:
    """Replace ``path`` by ``content`` in one step: a reader sees the old file or the new one, never half."""
    target = Path(path)
    make_folder(target.parent)
    with writing(target):
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                if _unsynced.get() is None:
                    os.fsync(file.fileno())
            os.chmod(temporary, 0o644 & ~_umask())
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise

    unsynced = _unsynced.get()
    if unsynced is not None:
        unsynced.append(target)


@contextmanager
def synced_together() -> Iterator[None]:
    """What ``write_bytes``, ``sync_file`` and ``sync_folder`` are given inside the block is on disk at its end.

    For what nobody relies on yet: a file system takes many files at once in little more time than one.
    """
    paths: list[Path] = []
    token = _unsynced.set(paths)
    try:
        yield
    finally:
        _unsynced.reset(token)
    failed: list[MozhuError] = []
    threads = [threading.Thread(target=_sync, args=(path, failed)) for path in dict.fromkeys(paths)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed[:1]:
        raise error


def _sync(path: Path, failed: list[MozhuError]) -> None:
    try:
        with writing(path):
            handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
    except MozhuError as error:
        failed.append(error)


def sync_file(file: BinaryIO, path: Path) -> None:
    """What was written to the open ``file`` at ``path`` is on disk, or will be when ``synced_together`` ends."""
    file.flush()
    unsynced = _unsynced.get()
    if unsynced is None:
        os.fsync(file.fileno())
    else:
        unsynced.append(path)


def sync_folder(folder: Path) -> None:
    """The names in ``folder`` are on disk, or will be when ``synced_together`` ends."""
    unsynced = _unsynced.get()
    if os.name == "nt":
        return
    if unsynced is not None:
        unsynced.append(folder)
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_text(path: str | Path, content: str) -> None:
    write_bytes(path, content.encode("utf-8"))


def write_json(path: str | Path, value: Any, *, indent: int | None = 2) -> None:
    """Write ``value`` as UTF-8 JSON with a final newline; NaN and infinities become strings."""
    content = json.dumps(finite(value), ensure_ascii=False, indent=indent, allow_nan=False)
    write_bytes(path, content.encode("utf-8") + b"\n")


def write_jsonl(path: str | Path, rows: Iterable[Any]) -> int:
    """Write one JSON object a line in one atomic step; returns the number of rows."""
    count = 0
    with replacing(path) as file:
        for row in rows:
            file.write(json_line(row))
            count += 1
    return count


def json_line(value: Any) -> bytes:
    """``value`` as one line of a JSON-lines file."""
    return json.dumps(finite(value), ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"


@contextmanager
def replacing(path: str | Path) -> Iterator[Any]:
    """A binary file that takes the place of ``path`` when the block ends well, and vanishes when it does not."""
    target = Path(path)
    make_folder(target.parent)
    temporary = target.parent / f".{target.name}.{os.getpid()}.tmp"
    with writing(target):
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """An empty folder that becomes ``path`` when the block ends well; what was there stays until then.

    The old folder, if any, is moved aside first and removed last, so a crash leaves the old or the new one.
    """
    target = Path(path)
    make_folder(target.parent)
    temporary = target.parent / f".{target.name}.{os.getpid()}.new"
    with writing(target):
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            take_place(temporary, target)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise


def take_place(folder: Path, target: Path) -> None:
    """``folder`` becomes ``target``; what was there is moved aside first and removed last."""
    aside = target.parent / f".{target.name}.{os.getpid()}.old"
    try:
        if target.exists():
            os.replace(target, aside)
        os.replace(folder, target)
    except BaseException:
        if aside.exists() and not target.exists():
            os.replace(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def clear_leftovers(folder: str | Path) -> list[str]:
    """What killed writers left in ``folder`` is gone, and a folder that one had moved aside is back; their names.

    Only for who alone writes there: another writer's file in the making would vanish.
    """
    cleared = []
    for path in sorted(Path(folder).iterdir()):
        match = _LEFTOVER.fullmatch(path.name)
        if match is None:
            continue
        with writing(path):
            if match["kind"] == "old" and not (path.parent / match["name"]).exists():
                os.replace(path, path.parent / match["name"])
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        cleared.append(path.name)
    return cleared


def read_text(path: str | Path) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises:
        MissingFile: FILE-001. NotReadable: FILE-005. NotText: FILE-009 with the line.
    """
    try:
        with reading(path):
            return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotText(path=str(path), line=error.object[: error.start].count(b"\n") + 1) from error


def read_json(path: str | Path) -> Any:
    """The value in a JSON file.

    Raises:
        MissingFile: FILE-001. BadJson: FILE-004 with line and column. NotText: FILE-009.
    """
    content = read_text(path)
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise BadJson(path=str(path), line=error.lineno, column=error.colno, reason=error.msg) from error


def read_jsonl(path: str | Path) -> Iterator[Any]:
    """The values of a JSON-lines file; a last line without its newline is a torn write and is left out."""
    with reading(path), open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise BadJson(path=str(path), line=number, column=1, reason=str(error)) from error


def sha256_file(path: str | Path) -> str:
    """``sha256:<hex>`` of a file's content, read in pieces."""
    digest = hashlib.sha256()
    with reading(path), open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"


def sha256_json(value: Any) -> str:
    """``sha256:<hex>`` of the canonical JSON of ``value`` (sorted keys, no blanks, UTF-8)."""
    content = json.dumps(finite(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(content.encode('utf-8')).hexdigest()}"


def finite(value: Any) -> Any:
    """``value`` with NaN and infinities as the strings ``nan``, ``inf``, ``-inf`` (records.md)."""
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def folder_bytes(path: str | Path) -> int:
    return sum(file.stat().st_size for file in Path(path).rglob("*") if file.is_file())


def free_bytes(path: str | Path) -> int:
    """Free bytes on the file system that would hold ``path``; 0 where the system does not say."""
    for place in [Path(path), *Path(path).absolute().parents]:
        if place.exists():
            with suppress(OSError):
                return shutil.disk_usage(place).free
            return 0
    return 0


def human_size(size_bytes: float) -> str:
    """``15.2GB`` style, in powers of 1024, as seed 000's ``file_size``."""
    value = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if abs(value) < 1024:
            return f"{value:.0f}{unit}" if unit == "B" else f"{value:.1f}{unit}"
        value /= 1024
    return f"{value:.1f}TB"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
