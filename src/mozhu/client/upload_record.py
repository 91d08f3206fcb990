"""Which upload belongs to which files: a small record, so that a client that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mozhu.client.upload_files import LocalFile
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json, write_json

FOLDER_VARIABLE = "MOZHU_UPLOADS"


def records_folder() -> Path:
    """``MOZHU_UPLOADS``, else beside the user's other caches."""
    told = os.environ.get(FOLDER_VARIABLE)
    if told:
        return Path(told).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mozhu" / "uploads"


class UploadRecord:
    """The record of what is sent from ``path`` to ``server``, for whom ``account`` signs."""

    def __init__(self, folder: Path, server: str, account: str, path: Path) -> None:
        key = json.dumps([server, account, str(path.absolute())])
        self._file = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
        self._named = {"server": server, "path": str(path.absolute())}

    def load(self, files: Sequence[LocalFile]) -> tuple[str | None, dict[str, str]]:
        """The upload that was begun, and the hashes of those ``files`` that have not changed since.

        ``None`` for an upload of other files: what was sent of it is of no use any more.
        """
        try:
            kept = read_json(self._file)
            known = {item["path"]: item for item in kept["files"]}
            upload = str(kept["upload"])
        except (MozhuError, KeyError, TypeError, ValueError):
            return None, {}
        same = {
            file.path: str(known[file.path]["sha256"])
            for file in files
            if file.path in known and _state(file) == _state_kept(known[file.path])
        }
        is_whole = len(same) == len(files) == len(known)
        return (upload if is_whole else None), same

    def save(self, upload: str, files: Sequence[LocalFile], hashes: dict[str, str]) -> None:
        """Kept until :meth:`forget`; a folder that cannot be written costs the going on, nothing else."""
        items = [
            {"path": file.path, "size": file.size, "changed_ns": file.changed_ns, "sha256": hashes[file.path]}
            for file in files
        ]
        with suppress(MozhuError):
            write_json(self._file, {**self._named, "upload": upload, "files": items})

    def earlier(self) -> str | None:
        """The upload that was begun from this path, whatever lies there now."""
        try:
            return str(read_json(self._file)["upload"])
        except (MozhuError, KeyError, TypeError, ValueError):
            return None

    def forget(self) -> None:
        with suppress(OSError):
            self._file.unlink()


def _state(file: LocalFile) -> tuple[int, int]:
    return file.size, file.changed_ns


def _state_kept(item: dict[str, int]) -> tuple[int, int]:
    return item["size"], item["changed_ns"]
