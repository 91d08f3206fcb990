"""A version's files on this machine: what broke off goes on where it stopped, and every hash is checked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from mozhu.client import calls
from mozhu.client.asking import AGAIN, TRIES, answer_of, segment, unreachable, wait_s
from mozhu.kernel.errors import BadName, BlobDamaged, MozhuError, ServiceUnreachable
from mozhu.kernel.files import make_folder, sha256_file, writing
from mozhu.specs.wire.files import FileWire
from mozhu.specs.wire.place import PREFIX

if TYPE_CHECKING:
    from mozhu.client.client import Client

# Bytes done, bytes in all, and the file that comes in.
Progress = Callable[[int, int, str], None]
_PIECE_BYTES = 1 << 20
_PARTIAL = ".part"
# How long nothing may come before it gives up; what is here stays.
PATIENCE_S = 120.0


class _Busy(Exception):
    """The service, or what stands before it, asks to come again."""


def download(
    client: Client,
    reference: str,
    folder: Path,
    *,
    on_progress: Progress = lambda done, total, path: None,
) -> str:
    """Every file of the version lies in ``folder``, whole and with its hash; returns the version's reference.

    What is there already with the right hash is not fetched; a file comes under its name when it is whole.

    Raises:
        UnknownReference: REG-001. BlobDamaged: STORE-002. ServiceUnreachable: API-020. DiskFull: FILE-003.
    """
    manifest = client.send(calls.files(reference))
    make_folder(folder)
    done = 0
    for file in manifest["items"]:
        before = done

        def seen(count: int, path: str = file["path"], before: int = before) -> None:
            on_progress(before + count, manifest["size_bytes"], path)

        _fetch(client, manifest["reference"], file, _target(folder, file["path"]), seen)
        done += file["size"]
        seen(file["size"])
    return manifest["reference"]


def _target(folder: Path, path: str) -> Path:
    """Where ``path`` belongs below ``folder``; a service cannot name a place outside.

    Raises:
        BadName: FILE-008.
    """
    target = (folder / path).resolve()
    if not target.is_relative_to(folder.resolve()) or "\\" in path:
        raise BadName(name=path)
    return target


def _fetch(client: Client, reference: str, file: FileWire, target: Path, seen: Callable[[int], None]) -> None:
    if target.is_file() and target.stat().st_size == file["size"] and sha256_file(target) == file["sha256"]:
        return
    make_folder(target.parent)
    partial = target.with_name(target.name + _PARTIAL)
    _append(client, reference, file, partial, seen)
    found = sha256_file(partial)
    if found != file["sha256"]:
        partial.unlink()
        raise BlobDamaged(place=f"{client.server} {file['path']}", expected=file["sha256"], found=found)
    with writing(target):
        os.replace(partial, target)


def _append(
    client: Client, reference: str, file: FileWire, partial: Path, seen: Callable[[int], None]
) -> None:
    """All bytes of ``file`` are in ``partial``, those that were there before not fetched again."""
    attempt, last_good = 0, time.monotonic()
    while True:
        have = _size_of(partial)
        if have > file["size"]:
            partial.unlink()
            continue
        if have == file["size"] and partial.is_file():
            return
        reason: Exception = ServiceUnreachable(server=client.server, reason=file["path"])
        try:
            _pour(client, reference, file, partial, have, seen)
        except (httpx2.TransportError, _Busy) as error:
            reason = error
        if _size_of(partial) > have:
            attempt, last_good = 0, time.monotonic()
            continue
        attempt += 1
        if attempt >= TRIES and time.monotonic() - last_good > PATIENCE_S:
            raise reason if isinstance(reason, MozhuError) else unreachable(client.server, reason)
        time.sleep(wait_s(min(attempt, 10), None))


def _size_of(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _pour(
    client: Client,
    reference: str,
    file: FileWire,
    partial: Path,
    have: int,
    seen: Callable[[int], None],
) -> None:
    url = f"{PREFIX}/models/{segment(reference)}/files/{'/'.join(map(segment, file['path'].split('/')))}"
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    with client.http.stream("GET", url, headers=headers) as response:
        if response.status_code in AGAIN:
            raise _Busy(f"HTTP {response.status_code}")
        if response.status_code >= 400:
            answer_of(client.server, response.status_code, response.read())
        # A proxy may have taken the range away: then everything comes again.
        start = have if response.status_code == 206 else 0
        with writing(partial), open(partial, "r+b" if start else "wb") as out:
            out.truncate(start)
            out.seek(start)
            for piece in response.iter_bytes(_PIECE_BYTES):
                out.write(piece)
                start += len(piece)
                seen(start)
            out.flush()
            os.fsync(out.fileno())
