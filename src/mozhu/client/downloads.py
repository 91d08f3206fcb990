"""A version's files on this machine: what broke off goes on where it stopped, and every hash is checked."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2

from mozhu.client import calls
from mozhu.client.asking import TRIES, answer_of, segment, unreachable, wait_s
from mozhu.kernel.errors import BadName, BlobDamaged, ServiceUnreachable
from mozhu.kernel.files import make_folder, sha256_file, writing
from mozhu.specs.wire.files import FileWire
from mozhu.specs.wire.place import PREFIX

if TYPE_CHECKING:
    from mozhu.client.client import Client

# Bytes done, bytes in all, and the file that comes in.
Progress = Callable[[int, int, str], None]
_PIECE_BYTES = 1 << 20
_PARTIAL = ".part"


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
    attempt = 0
    while True:
        have = partial.stat().st_size if partial.is_file() else 0
        if have > file["size"]:
            partial.unlink()
            continue
        if have == file["size"] and partial.is_file():
            return
        try:
            _pour(client, reference, file, partial, have, seen)
            attempt = 0 if (partial.stat().st_size if partial.is_file() else 0) > have else attempt + 1
        except httpx2.TransportError as error:
            now = partial.stat().st_size if partial.is_file() else 0
            attempt = 0 if now > have else attempt + 1
            if attempt >= TRIES:
                raise unreachable(client.server, error) from error
            time.sleep(wait_s(attempt, None))
        if attempt >= TRIES:
            raise ServiceUnreachable(server=client.server, reason=file["path"])


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
