"""What passes between a client and the service, seen from outside both: counted, and cut in the middle of parts."""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

_PIECE_BYTES = 128 << 10
_PART = re.compile(rb"PUT /api/v1/uploads/[^/ ]+/parts/(\d+) ")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_TAIL_BYTES = 5 << 20

Kind = Literal["line", "server", "client"]


@dataclass(frozen=True)
class Cut:
    """After so many sent bytes: all connections break, the service is killed, or the client is."""

    at: int
    kind: Kind


@dataclass
class Seen:
    """``repeated`` are parts that were sent again after the client had been told that they are there."""

    bytes: int = 0
    in_flight_bytes: int = 0
    acknowledged: set[int] = field(default_factory=set)
    repeated: set[int] = field(default_factory=set)
    cuts: dict[Kind, int] = field(default_factory=lambda: {"line": 0, "server": 0, "client": 0})


class Wire:
    """Listens on ``port`` and passes everything on to the service's port; knows what a part is, changes nothing.

    Args:
        on_cut: Carries out what a cut asks for beside breaking the connections: it kills, and starts again.
    """

    def __init__(self, service_port: int, cuts: Sequence[Cut], on_cut: Callable[[Kind], None]) -> None:
        self._service_port, self._cuts, self._on_cut = service_port, list(cuts), on_cut
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._flying: dict[int, int] = {}
        self.seen = Seen()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._door.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, suppress(OSError, EOFError), self._reached() as service:
            both = {client, service}
            with self._lock:
                self._open |= both
            try:
                while True:
                    self._exchange(_Stream(client), _Stream(service))
            finally:
                with self._lock:
                    self._open -= both

    def _reached(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._service_port))

    def _exchange(self, client: _Stream, service: _Stream) -> None:
        """One request and its answer."""
        head = client.head()
        part = _PART.match(head)
        number, left = int(part[1]) if part else None, _length(head)
        if number is not None:
            self._begin(number, left)
        service.send(head)
        while left:
            piece = client.some(min(left, _PIECE_BYTES))
            left -= len(piece)
            if number is not None:
                self._count(len(piece), is_inside=left > 0)
            service.send(piece)
        answer = service.head()
        body = service.exactly(_length(answer))
        client.send(answer + body)
        if number is not None:
            self._end(number, is_there=answer.startswith(b"HTTP/1.1 200 "))

    def _begin(self, number: int, size: int) -> None:
        with self._lock:
            self._flying[number] = size
            if number in self.seen.acknowledged:
                self.seen.repeated.add(number)

    def _end(self, number: int, *, is_there: bool) -> None:
        with self._lock:
            self._flying.pop(number, None)
            if is_there:
                self.seen.acknowledged.add(number)

    def _count(self, size: int, *, is_inside: bool) -> None:
        """A cut that is due waits for a piece inside a part, so that it has something to tear."""
        with self._lock:
            self.seen.bytes += size
            if is_inside and self._cuts and self.seen.bytes >= self._cuts[0].at:
                self._cut(self._cuts.pop(0).kind)

    def _cut(self, kind: Kind) -> None:
        """What is under way until this moment is in flight; after it, nothing of it is."""
        self.seen.cuts[kind] += 1
        self.seen.in_flight_bytes += sum(self._flying.values())
        self._flying.clear()
        self._on_cut(kind)
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Stream:
    """A connection, read as HTTP asks for it. Bytes that came too early do not: nobody pipelines here."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._early = b""

    def send(self, content: bytes) -> None:
        self._connection.sendall(content)

    def some(self, most: int) -> bytes:
        if self._early:
            piece, self._early = self._early[:most], self._early[most:]
            return piece
        piece = self._connection.recv(most)
        if not piece:
            raise EOFError
        return piece

    def exactly(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            found += self.some(size - len(found))
        return found

    def head(self) -> bytes:
        found = b""
        while b"\r\n\r\n" not in found:
            found += self.some(_PIECE_BYTES)
        end = found.index(b"\r\n\r\n") + 4
        self._early = found[end:]
        return found[:end]


def _length(head: bytes) -> int:
    found = _LENGTH.search(head)
    return int(found[1]) if found else 0


def random_cuts(size: int, counts: dict[Kind, int], seed: int) -> list[Cut]:
    """Cuts spread over ``size`` bytes by chance, so many of each kind.

    None lies in the last 5 MiB: there may be nothing but last pieces of parts left to send there.
    """
    dice = random.Random(seed)
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    dice.shuffle(kinds)
    places = sorted(dice.sample(range(1, size - _TAIL_BYTES), len(kinds)))
    return [Cut(place, kind) for place, kind in zip(places, kinds)]
