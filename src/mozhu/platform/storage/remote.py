"""A store behind a network: S3, Google Cloud Storage, Azure, through one client (obstore).

What is put is read back and hashed; a broken answer is asked for again from where it broke.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import obstore
from obstore.exceptions import (
    BaseError,
    GenericError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
)

from mozhu.kernel.errors import BlobDamaged, BlobMissing, MozhuError, StoreRefused, StoreUnreachable
from mozhu.platform.storage.blobs import CHUNK_BYTES, Blob, bounds, checked, digest_at, key_of, read_digest

R = TypeVar("R")
TRIES = 4
_MOST_PARTS = 9_000
_LEAST_PART_BYTES = 8 << 20
_FIRST_PAUSE_S = 0.2
_REFUSED = re.compile(r"status code: (?:401|403)\b")


class RemoteBlobs:
    """The blobs of a bucket.

    Args:
        store: What obstore made for it.
        name: Its address, for people.
        pause: Waits between two tries, in seconds; injected in tests.
    """

    def __init__(self, store: Any, name: str, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.store = store
        self._name = name
        self._pause = pause

    @property
    def name(self) -> str:
        return self._name

    def put(self, digest: str, source: Iterable[bytes], size: int) -> Blob:
        place = f"{self.name}/{key_of(digest)}"
        # An iterator that raises leaves nothing: the multipart upload is given up.
        pieces = checked(source, digest, size, place)
        with asked(self.name):
            if size <= _LEAST_PART_BYTES:
                self._again(_put_bytes(self.store, key_of(digest), b"".join(pieces)))
            else:
                obstore.put(
                    self.store, key_of(digest), pieces, use_multipart=True, chunk_size=part_bytes(size)
                )
        self.read_back(digest, size)
        return Blob(digest, size, time.time())

    def read_back(self, digest: str, size: int) -> None:
        """What the store gives for ``digest`` is that; taken away where it is not.

        Raises:
            BlobDamaged: STORE-002.
        """
        found, count = read_digest(self.open(digest))
        if found != digest or count != size:
            self.delete(digest)
            raise BlobDamaged(place=f"{self.name}/{key_of(digest)}", expected=digest, found=found)

    def open(self, digest: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        there = self.stat(digest)
        if there is None:
            raise BlobMissing(store=self.name, digest=digest)
        first, last = bounds(there.size, start, end)
        return self._pieces(key_of(digest), first, last, there.size)

    def stat(self, digest: str) -> Blob | None:
        found = self.head(key_of(digest))
        return None if found is None else Blob(digest, found["size"], found["last_modified"].timestamp())

    def head(self, key: str) -> Any | None:
        with asked(self.name):
            try:
                return self._again(lambda: obstore.head(self.store, key))
            except (NotFoundError, FileNotFoundError):
                return None

    def delete(self, digest: str) -> bool:
        there = self.stat(digest) is not None
        if there:
            self.delete_key(key_of(digest))
        return there

    def delete_key(self, key: str) -> None:
        with asked(self.name):
            self._again(lambda: obstore.delete(self.store, key))

    def list(self) -> Iterator[Blob]:
        for entry in self.entries("sha256"):
            digest = digest_at(entry["path"])
            if digest is not None:
                yield Blob(digest, entry["size"], entry["last_modified"].timestamp())

    def entries(self, prefix: str) -> Iterator[Any]:
        """Everything below ``prefix``, in the order of the keys."""
        with asked(self.name):
            for batch in obstore.list(self.store, prefix=prefix):
                yield from sorted(batch, key=lambda entry: str(entry["path"]))

    def set_aside(self, digest: str) -> str:
        target = f"quarantine/{digest.partition(':')[2]}-{int(time.time())}"
        with asked(self.name):
            self._again(lambda: obstore.copy(self.store, key_of(digest), target))
        self.delete_key(key_of(digest))
        return f"{self.name}/{target}"

    def address(self, digest: str, seconds: int) -> str | None:
        with asked(self.name):
            try:
                signed: str = obstore.sign(self.store, "GET", key_of(digest), timedelta(seconds=seconds))
            except (NotSupportedError, NotImplementedError, TypeError):
                return None
        return signed

    def read_key(self, key: str) -> Iterator[bytes]:
        """The bytes of any object.

        Raises:
            BlobMissing: STORE-001.
        """
        found = self.head(key)
        if found is None:
            raise BlobMissing(store=self.name, digest=key)
        return self._pieces(key, 0, found["size"], found["size"])

    def _pieces(self, key: str, start: int, end: int, size: int) -> Iterator[bytes]:
        """The range, asked for again from where an answer broke off; tries count without progress only."""
        at, tries = start, 0
        while at < end:
            try:
                with asked(self.name):
                    for piece in self._answer(key, at, end, size):
                        at, tries = at + len(piece), 0
                        yield piece
                if at < end:
                    raise StoreUnreachable(store=self.name, tries=1, reason=f"{key}: {at} < {end} bytes")
            except StoreUnreachable as error:
                tries += 1
                if tries >= TRIES:
                    raise StoreUnreachable(**{**error.params, "tries": tries}) from error
                self._pause(_FIRST_PAUSE_S * 2**tries)

    def _answer(self, key: str, start: int, end: int, size: int) -> Iterator[bytes]:
        """One answer to one request; a server that sends everything for a range is listened to from ``start`` on."""
        if (start, end) == (0, size):
            return _cut(obstore.get(self.store, key), 0, end)
        try:
            return _cut(obstore.get(self.store, key, options={"range": (start, end)}), 0, end - start)
        except GenericError as error:
            if "non-partial" not in str(error):
                raise
            return _cut(obstore.get(self.store, key), start, end)

    def _again(self, ask: Callable[[], R]) -> R:
        for attempt in range(1, TRIES):
            try:
                return ask()
            except GenericError:
                self._pause(_FIRST_PAUSE_S * 2**attempt)
        return ask()


@contextmanager
def asked(name: str) -> Iterator[None]:
    """Turn what the client says into STORE-003 or STORE-004; an error of ours passes."""
    try:
        yield
    except MozhuError:
        raise
    except (UnauthenticatedError, PermissionDeniedError) as error:
        raise StoreRefused(store=name, reason=_short(error)) from error
    except (BaseError, OSError) as error:
        if isinstance(error, (NotFoundError, FileNotFoundError)):
            raise BlobMissing(store=name, digest=_short(error)) from error
        if _REFUSED.search(str(error)):  # a list says so in words only
            raise StoreRefused(store=name, reason=_short(error)) from error
        raise StoreUnreachable(store=name, tries=TRIES, reason=_short(error)) from error


def part_bytes(size: int) -> int:
    """How large the parts of an object of ``size`` bytes are: S3 takes 10,000 at most."""
    return max(_LEAST_PART_BYTES, -(-size // _MOST_PARTS))


def _put_bytes(store: Any, key: str, content: bytes) -> Callable[[], Any]:
    return lambda: obstore.put(store, key, content, use_multipart=False)


def _cut(answer: Any, start: int, end: int) -> Iterator[bytes]:
    """The bytes from ``start`` to ``end`` of an answer."""
    at = 0
    for piece in answer.stream(min_chunk_size=CHUNK_BYTES):
        content = bytes(piece)
        first, last = max(0, start - at), min(len(content), end - at)
        at += len(content)
        if first < last:
            yield content[first:last]
        if at >= end:
            return


def _short(error: BaseException) -> str:
    """The first line of what a client said; it may name a URL, and never holds a secret."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
