"""Files of this machine as an upload of a service: what breaks goes on, what is known there is not sent."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from mozhu.client import calls
from mozhu.client.asking import answer_of
from mozhu.client.upload_files import Chosen, LocalFile, choose_files, paths_of, read_range, sha256_of
from mozhu.client.upload_parts import PartSender, paused
from mozhu.client.upload_progress import Meter, OnProgress, UploadProgress
from mozhu.client.upload_record import UploadRecord, records_folder
from mozhu.kernel.errors import ContentDiffers, MozhuError, ServiceUnreachable, UnknownUpload, UploadClosed
from mozhu.specs.uploads import Challenge, answer_to
from mozhu.specs.wire.place import PREFIX
from mozhu.specs.wire.uploads import UploadWire

if TYPE_CHECKING:
    from mozhu.client.client import Client

OnBegun = Callable[[UploadWire], None]
THREADS = 4
PATIENCE_S = 120.0
# The service reads everything back before it answers.
_COMPLETE_S = 600.0
_COMPLETE_TRIES = 20


@dataclass(frozen=True)
class Uploaded:
    """``sent_bytes`` went over the network now; ``known_bytes`` were there and were not sent at all.

    ``resumed``: some of it had come before. ``left_out``: files of the folder that are not part of it.
    """

    upload: UploadWire
    sent_bytes: int
    known_bytes: int
    resumed: bool
    left_out: tuple[str, ...]


def upload(
    client: Client,
    path: Path,
    *,
    team: str | None = None,
    purpose: dict[str, Any] | None = None,
    threads: int = THREADS,
    patience_s: float = PATIENCE_S,
    records: Path | None = None,
    pause: threading.Event | None = None,
    on_begun: OnBegun = lambda upload: None,
    on_progress: OnProgress = lambda progress: None,
) -> Uploaded:
    """The file, or all files of the folder ``path``, are whole at the service, read back there with their hashes.

    Killed, paused by Ctrl-C or cut off, the same call goes on: parts that were acknowledged are not sent again.
    Memory does not grow with the files.

    Args:
        purpose: What it is for, kept with the upload.
        threads: How many parts are on their way at once.
        patience_s: How long nothing may come through before it gives up.
        pause: Set by another thread, it ends the sending with UploadPaused.
        on_begun: Is told of the upload before the first byte is sent; what it raises stops that.
        records: Where the record for going on lies; ``MOZHU_UPLOADS`` or the user's cache by default.

    Raises:
        MissingFile: FILE-001. FileChangedMeanwhile: UPLOAD-012. UploadPaused: UPLOAD-013.
        ServiceUnreachable: API-020. MozhuError: what the service refused: UPLOAD-002 to 010.
    """
    chosen, stop = choose_files(Path(path)), pause or threading.Event()
    record = UploadRecord(records or records_folder(), client.server, _account(client), Path(path))
    begun, hashes = record.load(chosen.files)
    _hash_files(chosen, hashes, threads, stop, on_progress)
    state = _going_on(client, begun) if begun else None
    resumed = state is not None and state["received_bytes"] > _known(state)
    if state is None:
        _give_up(client, record)
        state = _begun(client, chosen.files, hashes, team, purpose)
        record.save(state["id"], chosen.files, hashes)
    on_begun(state)
    state = _proven(client, state, chosen.files)
    meter = Meter("sending", state["size_bytes"], state["received_bytes"], on_progress)
    sender = PartSender(
        client, state, chosen.files, threads=threads, patience_s=patience_s, stop=stop, seen=meter.add
    )
    sender.send(state["missing"])
    for file in chosen.files:
        file.check_unchanged()
    on_progress(UploadProgress("checking", 0, state["size_bytes"], 0.0, None))
    done = _completed(client, state["id"], record)
    record.forget()
    return Uploaded(done, sender.sent_bytes, _known(state), resumed, chosen.left_out)


def _known(state: UploadWire) -> int:
    """Bytes of files that need not be sent."""
    return sum(file["size"] for file in state["files"] if file["need"] == "known")


def _hash_files(
    chosen: Chosen, hashes: dict[str, str], threads: int, stop: threading.Event, on_progress: OnProgress
) -> None:
    """``hashes`` has all of them; those that were known already are not read. Several files at a time."""
    left = [file for file in chosen.files if file.path not in hashes]
    meter = Meter("hashing", sum(file.size for file in left), 0, on_progress)
    is_over = threading.Event()

    def hash_one(file: LocalFile) -> str:
        def seen(count: int) -> None:
            if stop.is_set() or is_over.is_set():
                raise paused(0, chosen.size_bytes)
            meter.add(count, file.path)

        found = sha256_of(file, seen)
        file.check_unchanged()
        return found

    with ThreadPoolExecutor(min(threads, len(left)) or 1) as pool:
        try:
            hashes.update(zip([file.path for file in left], pool.map(hash_one, left)))
        finally:
            is_over.set()


def _going_on(client: Client, upload_id: str) -> UploadWire | None:
    """The upload that was begun before, while it can still be used."""
    try:
        state: UploadWire = client.send(calls.upload_state(upload_id))
    except UnknownUpload:
        return None
    return state if state["state"] in ("open", "complete") else None


def _give_up(client: Client, record: UploadRecord) -> None:
    """What was begun of other content frees its room at once."""
    earlier = record.earlier()
    record.forget()
    if earlier is not None:
        try:
            client.send(calls.abort_upload(earlier))
        except MozhuError:
            return


def _begun(
    client: Client,
    files: Sequence[LocalFile],
    hashes: dict[str, str],
    team: str | None,
    purpose: dict[str, Any] | None,
) -> UploadWire:
    named = [{"path": file.path, "size": file.size, "sha256": hashes[file.path]} for file in files]
    state: UploadWire = client.send(calls.begin_upload(named, team=team, purpose=purpose))
    return state


def _proven(client: Client, state: UploadWire, files: Sequence[LocalFile]) -> UploadWire:
    """Files that the service may know are proved to be here: then they are not sent."""
    here = paths_of(files)
    for told in [file for file in state["files"] if file["need"] == "wanted" and file["challenge"]]:
        file = here[told["path"]]
        challenge = Challenge.model_validate(told["challenge"])
        answer = answer_to(challenge, partial(read_range, file))
        state = client.send(calls.prove_file(state["id"], told["path"], answer))
    return state


def _completed(client: Client, upload_id: str, record: UploadRecord) -> UploadWire:
    """The service has read everything back. However long that takes, and however often the connection breaks.

    Raises:
        ContentDiffers: UPLOAD-009. ServiceUnreachable: API-020.
    """
    url = f"{PREFIX}/uploads/{upload_id}/complete"
    for attempt in range(_COMPLETE_TRIES):
        try:
            response = client.http.post(url, timeout=_COMPLETE_S)
            done: UploadWire = answer_of(client.server, response.status_code, response.content)
            return done
        except (ContentDiffers, UploadClosed):
            record.forget()
            raise
        except httpx2.TransportError as error:
            if attempt == _COMPLETE_TRIES - 1:
                raise ServiceUnreachable(server=client.server, reason=str(error)) from error
            client.send(calls.upload_state(upload_id))  # waits until it answers again
    raise ServiceUnreachable(server=client.server, reason="")


def _account(client: Client) -> str:
    """Who signs, without the token itself: another account does not go on with this one's upload."""
    return hashlib.sha256(client.http.headers.get("authorization", "").encode()).hexdigest()[:16]
