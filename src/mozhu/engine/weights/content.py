"""What a weights file holds, by hash: the whole file and each of its tensors, read once and remembered.

Remembered by path, size, both times of change and inode: in this process, and in ``hashes/`` of the cache folder
(``MOZHU_HASH_CACHE``) for the next ones. A file that was changed in the last seconds is not kept there, for a second
change could leave its times as they are. Who checks an artefact asks for fresh hashes and reads every byte.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.weights.headers import TensorInfo, read_header
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json, reading, write_json

_CHUNK_BYTES = 4 << 20
_SETTLED_S = 5.0
_SCHEMA = 1
_KEPT = 512
TensorHash = tuple[str, str, tuple[int, ...], str]


@dataclass(frozen=True)
class Content:
    """``sha256`` is the file's, ``sha256:<hex>``; ``tensors`` are (name, type, shape, hex) in the file's order."""

    sha256: str
    tensors: tuple[TensorHash, ...]


_seen: dict[tuple[Any, ...], Content] = {}


def file_content(path: Path, *, fresh: bool = False) -> Content:
    """The hashes of a safetensors file.

    Args:
        fresh: Read it now, whatever is remembered.

    Raises:
        MissingFile: FILE-001. DamagedWeights: MODEL-004.
    """
    with reading(path):
        key = _key(path)
    found = None if fresh else _seen.get(key) or _kept(key)
    if found is None:
        found = _read(path)
        _keep(key, found)
    if len(_seen) > _KEPT:
        _seen.clear()
    _seen[key] = found
    return found


def hash_cache() -> Path | None:
    """The folder of remembered hashes; ``None`` where ``MOZHU_HASH_CACHE`` is ``off``."""
    told = os.environ.get("MOZHU_HASH_CACHE")
    if told == "off":
        return None
    if told:
        return Path(told).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "mozhu" / "hashes"


def _key(path: Path) -> tuple[Any, ...]:
    state = os.stat(path)
    times = (state.st_mtime_ns, state.st_ctime_ns)
    return (os.path.realpath(path), state.st_size, *times, state.st_ino, state.st_dev)


def _read(path: Path) -> Content:
    """Both kinds of hashes out of one pass."""
    tensors = read_header(path)
    whole, hashed = hashlib.sha256(), []
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with reading(path), open(path, "rb", buffering=0) as file:
        start = min((info.start for info in tensors.values()), default=os.fstat(file.fileno()).st_size)
        _feed(file, start, buffer, (whole,))
        for info in tensors.values():
            own = hashlib.sha256()
            _skip_to(file, info, buffer, whole)
            _feed(file, info.size_bytes, buffer, (whole, own))
            hashed.append((info.name, info.dtype, info.shape, own.hexdigest()))
        while count := file.readinto(buffer):
            whole.update(buffer[:count])
    return Content(f"sha256:{whole.hexdigest()}", tuple(hashed))


def _skip_to(file: Any, info: TensorInfo, buffer: memoryview, whole: Any) -> None:
    """A header whose tensors do not follow each other is refused before; empty ones may lie anywhere."""
    if info.size_bytes and file.tell() < info.start:
        _feed(file, info.start - file.tell(), buffer, (whole,))


def _feed(file: Any, left: int, buffer: memoryview, digests: tuple[Any, ...]) -> None:
    while left:
        count = file.readinto(buffer[: min(left, len(buffer))])
        if not count:
            raise EOFError(getattr(file, "name", ""))
        for digest in digests:
            digest.update(buffer[:count])
        left -= count


def _place(key: tuple[Any, ...]) -> Path | None:
    root = hash_cache()
    name = hashlib.sha256(os.fsencode(str(key[0]))).hexdigest()[:32]
    return None if root is None else root / f"{name}.json"


def _kept(key: tuple[Any, ...]) -> Content | None:
    place = _place(key)
    if place is None or not place.is_file():
        return None
    try:
        record = read_json(place)
        if record["schema"] != _SCHEMA or record["key"] != list(key):
            return None
        tensors = tuple((n, t, tuple(shape), h) for n, t, shape, h in record["tensors"])
        return Content(str(record["sha256"]), tensors)
    except (MozhuError, KeyError, TypeError, ValueError):
        return None


def _keep(key: tuple[Any, ...], content: Content) -> None:
    """Written only when the file has settled and is still the same; a cache that cannot be written is left out."""
    place = _place(key)
    if place is None or time.time() - max(key[2], key[3]) / 1e9 < _SETTLED_S:
        return
    with suppress(MozhuError, OSError):
        if _key(Path(key[0])) == key:
            record = {"schema": _SCHEMA, "key": list(key), "sha256": content.sha256}
            write_json(place, {**record, "tensors": [list(item) for item in content.tensors]}, indent=None)
