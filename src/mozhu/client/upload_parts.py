"""Parts on their way, several at a time: each with its hash, again after a break, never one that was acknowledged."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import httpx2

from mozhu.client import calls
from mozhu.client.asking import answer_of, unreachable, wait_s
from mozhu.client.upload_files import LocalFile, sha256_of
from mozhu.kernel.errors import MozhuError, PartDamaged, ServiceUnreachable, StrangeAnswer, UploadPaused
from mozhu.kernel.files import human_size
from mozhu.specs.uploads import Part, parts_of
from mozhu.specs.wire.place import PREFIX
from mozhu.specs.wire.uploads import UploadWire

if TYPE_CHECKING:
    from mozhu.client.client import Client

_PIECE_BYTES = 256 << 10
# How often one part may arrive damaged before that is no accident.
_DAMAGED_TRIES = 3
_LONGEST_WAIT_S = 5.0
# A slow line is no dead one: it takes its time for a part.
_LEAST_TRIES = 5
_BUSY = frozenset({429, 500, 502, 503, 504})


class _Stopped(Exception):
    """Another thread has failed, or the person asked for a pause."""


class _Again(Exception):
    """The connection broke, or the service is busy or away: this part may be sent again."""

    def __init__(self, reason: Exception, after: str | None = None) -> None:
        super().__init__(str(reason))
        self.reason, self.after = reason, after


class PartSender:
    """Sends parts of one upload.

    Args:
        files: The upload's files in its order.
        stop: Set by somebody else, it ends the sending after the piece that is on its way.
        patience_s: How long nothing may come through before it gives up; what is there stays there.
        seen: Is told of bytes that were sent, and of negative ones where they did not count.
    """

    def __init__(
        self,
        client: Client,
        upload: UploadWire,
        files: Sequence[LocalFile],
        *,
        threads: int,
        patience_s: float,
        stop: threading.Event,
        seen: Callable[[int, str], None],
    ) -> None:
        self._client, self._id, self._files = client, upload["id"], files
        self._parts = list(parts_of([file.size for file in files], upload["part_size"]))
        self._threads, self._patience_s, self._seen = threads, patience_s, seen
        self._lock = threading.Lock()
        self._stop, self._is_over = stop, threading.Event()
        self._received, self._size = upload["received_bytes"], upload["size_bytes"]
        self._failed: BaseException | None = None
        self._last_good = time.monotonic()
        self.sent_bytes = 0

    def send(self, missing: Sequence[Sequence[int]]) -> None:
        """Every part in ``missing``, ranges of numbers, is durable at the service.

        Raises:
            FileChangedMeanwhile: UPLOAD-012. UploadPaused: UPLOAD-013. ServiceUnreachable: API-020.
            MozhuError: what the service refused.
        """
        left = iter([self._parts[number - 1] for first, last in missing for number in range(first, last + 1)])
        threads = [
            threading.Thread(target=self._work, args=(left,), daemon=True) for _ in range(self._threads)
        ]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self._is_over.set()
        if self._failed is not None:
            raise self._failed
        if self._stop.is_set():
            raise paused(self._received + self.sent_bytes, self._size)

    def _work(self, left: Iterator[Part]) -> None:
        try:
            while True:
                self._go_on()
                with self._lock:
                    part = next(left, None)
                if part is None:
                    return
                self._send(part)
        except _Stopped:
            return
        except BaseException as error:
            with self._lock:
                self._failed = self._failed or error
            self._is_over.set()

    def _send(self, part: Part) -> None:
        """``part`` is acknowledged, or known to have come through although its answer was lost."""
        broken = damaged = 0
        while True:
            try:
                self._put(part)
                return
            except _Again as again:
                self._wait(again, broken)
                broken += 1
            except PartDamaged:
                damaged += 1
                self._files[part.file].check_unchanged()
                if damaged == _DAMAGED_TRIES:
                    raise
                continue
            if self._is_here(part.number):
                self._count(part.size, part)
                return

    def _put(self, part: Part) -> None:
        file = self._files[part.file]
        end = part.offset + part.size
        digest = sha256_of(file, self._go_on, part.offset, end)
        count = 0

        def pieces() -> Iterator[bytes]:
            nonlocal count
            for piece in file.pieces(part.offset, end, _PIECE_BYTES):
                self._go_on()
                yield piece
                count += len(piece)
                self._count(len(piece), part)

        try:
            self._answered(part, digest, pieces())
        except BaseException:
            self._count(-count, part)
            raise
        with self._lock:
            self.sent_bytes += part.size
            self._last_good = time.monotonic()

    def _answered(self, part: Part, digest: str, pieces: Iterator[bytes]) -> None:
        headers = {
            "X-Part-Sha256": digest,
            "Content-Length": str(part.size),
            "Content-Type": "application/octet-stream",
        }
        url = f"{PREFIX}/uploads/{self._id}/parts/{part.number}"
        try:
            response = self._client.http.put(url, content=pieces, headers=headers)
        except (httpx2.TransportError, httpx2.RemoteProtocolError) as error:
            raise _Again(error) from error
        try:
            answer_of(self._client.server, response.status_code, response.content)
        except MozhuError as error:
            # What passes by itself says when; what a proxy says on its way has no code of ours.
            after = response.headers.get("retry-after")
            if response.status_code in _BUSY and (after or isinstance(error, StrangeAnswer)):
                raise _Again(error, after) from error
            raise

    def _wait(self, again: _Again, attempt: int) -> None:
        """Some time later, and not at the same moment as the other threads.

        Raises:
            ServiceUnreachable: API-020. StrangeAnswer: API-021.
        """
        with self._lock:
            quiet_s = time.monotonic() - self._last_good
        if quiet_s > self._patience_s and attempt >= _LEAST_TRIES:
            if isinstance(again.reason, MozhuError):
                raise again.reason
            raise unreachable(self._client.server, again.reason)
        self._is_over.wait(min(wait_s(min(attempt, 10), again.after), _LONGEST_WAIT_S))
        self._go_on()

    def _is_here(self, number: int) -> bool:
        """Whether the service has it: its answer may have been lost."""
        try:
            state = self._client.send(calls.upload_state(self._id))
        except (ServiceUnreachable, StrangeAnswer):
            return False
        return not any(first <= number <= last for first, last in state["missing"])

    def _go_on(self, _: int = 0) -> None:
        if self._is_over.is_set() or self._stop.is_set():
            raise _Stopped

    def _count(self, size: int, part: Part) -> None:
        self._seen(size, self._files[part.file].path)


def paused(done: int, total: int) -> UploadPaused:
    return UploadPaused(done=human_size(done), total=human_size(total))
