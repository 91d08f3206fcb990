"""The port of every store: content under its own sha256, whole or absent, never changed.

A digest is ``sha256:<64 hex>`` as in every manifest. Nothing relies on a store checking hashes or on conditional
puts: whoever puts is checked by hash on the way in, and a remote store is read back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from mozhu.kernel.errors import BadRange, BlobDamaged

CHUNK_BYTES = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PREFIX = "sha256:"


@dataclass(frozen=True)
class Blob:
    """Content in a store; ``modified`` is when it came, in seconds since 1970.

    ``links``: how many names its bytes have; they come back when the last one goes.
    """

    digest: str
    size: int
    modified: float
    links: int = 1


@runtime_checkable
class BlobStore(Protocol):
    """Content by hash. Every method may raise StoreUnreachable (STORE-003) and StoreRefused (STORE-004)."""

    @property
    def name(self) -> str:
        """What a person calls it: its folder or address, without keys."""

    def put(self, digest: str, source: Iterable[bytes], size: int) -> Blob:
        """The content of ``source`` is in the store under ``digest``, durable, whatever lay there before.

        Raises:
            BlobDamaged: STORE-002, ``source`` has another hash or size; the store is unchanged.
        """

    def open(self, digest: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` up to ``end`` (not with it), in pieces.

        Raises:
            BlobMissing: STORE-001. BadRange: STORE-006.
        """

    def stat(self, digest: str) -> Blob | None:
        """What is known of it without reading it; ``None`` where there is none."""

    def delete(self, digest: str) -> bool:
        """It is gone; false where there was none."""

    def list(self) -> Iterator[Blob]:
        """Everything in the store, in the order of the digests."""

    def set_aside(self, digest: str) -> str:
        """It is no blob any more; it lies in the quarantine, at the place that is returned."""

    def address(self, digest: str, seconds: int) -> str | None:
        """A URL that gives the content to anyone for ``seconds``; ``None`` where the store has none."""


def is_digest(value: str) -> bool:
    return _DIGEST.fullmatch(value) is not None


def digest_of(hash_hex: str) -> str:
    return _PREFIX + hash_hex


def key_of(digest: str) -> str:
    """Its place in a store, ``sha256/ab/abcd…``: no folder grows too large."""
    plain = digest.removeprefix(_PREFIX)
    return f"sha256/{plain[:2]}/{plain}"


def digest_at(key: str) -> str | None:
    """The digest whose place ``key`` is, ``None`` for anything else."""
    digest = _PREFIX + key.rpartition("/")[2]
    return digest if is_digest(digest) and key.endswith(key_of(digest)) else None


def checked(source: Iterable[bytes], digest: str, size: int, place: str) -> Iterator[bytes]:
    """The pieces of ``source``; raises at its end, before whoever reads takes it for whole, when they are others.

    Raises:
        BlobDamaged: STORE-002.
    """
    hashed, count = hashlib.sha256(), 0
    for piece in source:
        hashed.update(piece)
        count += len(piece)
        if count > size:
            break
        yield piece
    found = digest_of(hashed.hexdigest())
    if found != digest or count != size:
        raise BlobDamaged(place=place, expected=digest, found=found)


def read_digest(pieces: Iterable[bytes]) -> tuple[str, int]:
    """The digest and the size of what ``pieces`` say."""
    hashed, count = hashlib.sha256(), 0
    for piece in pieces:
        hashed.update(piece)
        count += len(piece)
    return digest_of(hashed.hexdigest()), count


def bounds(size: int, start: int, end: int | None) -> tuple[int, int]:
    """``start`` and ``end`` inside ``size`` bytes.

    Raises:
        BadRange: STORE-006.
    """
    if start < 0 or start > size or (end is not None and end < start):
        raise BadRange(start=start, size=size)
    return start, size if end is None else min(end, size)
