"""Finished work kept under the hash of everything it was made from, so that the same question costs a look-up.

``6_output/.cache/tokens`` of the workspace, or the folder that ``MOZHU_TOKEN_CACHE`` names. One folder an entry, and
in it ``entry.json`` with the size and hash of each file: what does not agree is thrown away. When all entries together
are larger than ``MOZHU_TOKEN_CACHE_GB`` (20 by default), those that were not used for longest go.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import (
    folder_bytes,
    make_folder,
    read_json,
    sha256_file,
    sha256_json,
    write_json,
    writing,
)
from mozhu.kernel.paths import workspace_or_here

ENTRY = "entry.json"
_DEFAULT_GB = 20.0
_GIB = 1 << 30
_MAKING = ".making-"
_DAY_S = 86_400


@dataclass(frozen=True)
class Entry:
    """A whole entry: its folder, and what was noted about it."""

    path: Path
    facts: dict[str, Any]


@dataclass(frozen=True)
class TokenCache:
    """Entries under ``root``. Safe with several processes: each makes its entry aside and moves it in place."""

    root: Path
    limit_bytes: int

    def find(self, key: str) -> Entry | None:
        """The entry of ``key``, its files checked against their hashes; ``None`` when there is none.

        Raises:
            DamagedEntry: it is there and not whole; it has been removed.
        """
        path = self.root / _name(key)
        if not (path / ENTRY).is_file():
            return None
        try:
            facts = _checked(path, key)
        except (MozhuError, KeyError, TypeError, AttributeError) as error:
            shutil.rmtree(path, ignore_errors=True)
            raise DamagedEntry(str(path)) from error
        with suppress(OSError):
            os.utime(path / ENTRY)  # used just now: the last to go
        return Entry(path, facts)

    def peek(self, key: str) -> dict[str, Any] | None:
        """What was noted about the entry of ``key``, its files unread; ``None`` when there is none."""
        try:
            facts = read_json(self.root / _name(key) / ENTRY)
            return facts if facts["key"] == key else None
        except (MozhuError, KeyError, TypeError):
            return None

    @property
    def writable(self) -> bool:
        try:
            with tempfile.TemporaryDirectory(prefix=_MAKING, dir=make_folder(self.root)):
                return True
        except (OSError, MozhuError):
            return False

    def make(self, key: str, build: Callable[[Path], dict[str, Any]]) -> Entry:
        """The entry that ``build`` writes into the folder it is given; nothing is left of it when it fails."""
        with writing(self.root):
            aside = Path(tempfile.mkdtemp(prefix=_MAKING, dir=make_folder(self.root)))
        try:
            finish_entry(aside, key, build(aside))
            path = self._move(aside, self.root / _name(key))
            facts = read_json(path / ENTRY)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        self._evict(path)
        return Entry(path, facts)

    @contextmanager
    def locked(self, key: str, waiting: Callable[[], None]) -> Iterator[None]:
        """Only this process makes the entry of ``key``; ``waiting`` is called when another one is making it."""
        lock = self._lock(key)
        if lock is None:
            yield
            return
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _lock(self, key: str) -> BaseFileLock | None:
        """``None`` where the folder cannot be written or the disk knows no locks."""
        try:
            place = make_folder(self.root) / f"{_name(key)}.lock"
            lock = FileLock(place)
            with suppress(Timeout), lock.acquire(timeout=0):
                pass
        except (OSError, MozhuError, NotImplementedError):
            return None
        return lock

    def _move(self, aside: Path, path: Path) -> Path:
        """``aside`` at ``path``; where another process was first, its entry stays and ours goes."""
        try:
            os.rename(aside, path)
        except OSError:
            if (path / ENTRY).is_file():
                shutil.rmtree(aside, ignore_errors=True)
            else:  # what is there is no entry
                shutil.rmtree(path, ignore_errors=True)
                os.rename(aside, path)
        return path

    def _evict(self, keep: Path) -> None:
        """Remove entries, the longest unused first, until the rest is within the limit; and what crashes left."""
        entries = []
        for path in self.root.iterdir():
            with suppress(OSError):
                if path.name.startswith(_MAKING):
                    _remove_abandoned(path)
                elif (path / ENTRY).is_file():
                    entries.append(((path / ENTRY).stat().st_mtime, folder_bytes(path), path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self.limit_bytes:
                return
            if path != keep:
                shutil.rmtree(path, ignore_errors=True)
                with suppress(OSError):
                    (self.root / f"{path.name}.lock").unlink()
                total -= size


class DamagedEntry(Exception):
    """An entry whose files are not those that were written. Not for people: it is made anew."""


def token_cache() -> TokenCache:
    """The cache in force."""
    named = os.environ.get("MOZHU_TOKEN_CACHE")
    root = Path(named).expanduser() if named else workspace_or_here().output / ".cache" / "tokens"
    try:
        limit = float(os.environ.get("MOZHU_TOKEN_CACHE_GB", _DEFAULT_GB))
    except ValueError:
        limit = _DEFAULT_GB
    return TokenCache(root.absolute(), int(limit * _GIB))


def cache_key(parts: dict[str, Any]) -> str:
    """The key of an entry: the hash of everything that decides what is in it."""
    return sha256_json(parts)


def finish_entry(folder: Path, key: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Note ``facts`` in ``folder`` with the size and hash of every file that is there."""
    files = {
        path.relative_to(folder).as_posix(): [path.stat().st_size, sha256_file(path)]
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    facts = {"schema": 1, "key": key, "files": files, **facts}
    write_json(folder / ENTRY, facts)
    return facts


def _checked(path: Path, key: str) -> dict[str, Any]:
    facts: dict[str, Any] = read_json(path / ENTRY)
    if facts["key"] != key:
        raise KeyError(key)
    for name, (size, digest) in facts["files"].items():
        file = path / name
        if not file.is_file() or file.stat().st_size != size or sha256_file(file) != digest:
            raise KeyError(name)
    return facts


def _name(key: str) -> str:
    return key.removeprefix("sha256:")[:40]


def _remove_abandoned(path: Path) -> None:
    """An entry of which no file was written for a day is one that a crash left."""
    newest = max((file.stat().st_mtime for file in (path, *path.rglob("*"))), default=0.0)
    if newest < time.time() - _DAY_S:
        shutil.rmtree(path, ignore_errors=True)
