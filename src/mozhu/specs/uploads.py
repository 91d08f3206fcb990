"""What an upload is made of: files, their parts, and the proof that a sender has what the store knows already.

Used on both sides: the service and its clients number parts and answer challenges by these same functions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from mozhu.specs.base import Positive, RemoteSpec, Words
from mozhu.specs.records.base import SHA256

PART_BYTES = 5 << 20
# S3 takes 10,000 parts of an object: above about 50 GB they become larger.
MOST_PARTS = 10_000
MOST_PART_BYTES = 1 << 30


class UploadSpec(RemoteSpec):
    """A file or a folder to a service, where it becomes a version of a model.

    ``name`` None: that of the folder or file; ``version`` None: the next one. ``wait``: until it is ready or has
    failed.
    """

    verb: ClassVar[str] = "upload"
    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(min_length=1)
    name: str | None = Field(default=None, min_length=1)
    version: str | None = Field(default=None, min_length=1)
    type: Literal["text", "image", "file"] | None = None
    description: str | None = None
    tags: Words = ()
    licence: str | None = None
    notes: str | None = None
    base: str | None = None
    team: str | None = Field(default=None, min_length=1)
    visibility: Literal["private", "team", "everyone"] | None = None
    threads: Positive = 4
    wait: bool = True


class NewFile(BaseModel):
    """A file that is to be sent. With its ``sha256`` it may not have to be: the store may know it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str = Field(min_length=1, max_length=1000)
    size: int = Field(ge=0)
    sha256: str | None = Field(default=None, pattern=SHA256)


class Challenge(BaseModel):
    """Which bytes of a file its sender must know, for this one upload: ``ranges`` are (start, end)."""

    model_config = ConfigDict(frozen=True)

    nonce: str
    ranges: tuple[tuple[int, int], ...]


class Part(NamedTuple):
    """Part ``number`` of an upload (from 1, over all its files) is ``size`` bytes at ``offset`` of file ``file``."""

    number: int
    file: int
    offset: int
    size: int


def part_size_for(sizes: Sequence[int]) -> int:
    """5 MiB, more where the largest file would have too many parts."""
    size = PART_BYTES
    while max(sizes, default=0) > size * MOST_PARTS:
        size *= 2
    return size


def part_counts(sizes: Sequence[int], part_size: int) -> list[int]:
    """How many parts each file has; an empty one has none."""
    return [-(-size // part_size) for size in sizes]


def parts_of(sizes: Sequence[int], part_size: int) -> Iterator[Part]:
    """Every part of an upload whose files have ``sizes``, in the order of its number."""
    number = 0
    for file, size in enumerate(sizes):
        for offset in range(0, size, part_size):
            number += 1
            yield Part(number, file, offset, min(part_size, size - offset))


def find_part(sizes: Sequence[int], part_size: int, number: int) -> Part | None:
    """The part of this number, ``None`` where there is none."""
    left = number - 1
    if left < 0:
        return None
    for file, (size, count) in enumerate(zip(sizes, part_counts(sizes, part_size))):
        if left < count:
            offset = left * part_size
            return Part(number, file, offset, min(part_size, size - offset))
        left -= count
    return None


def answer_to(challenge: Challenge, read: Callable[[int, int], bytes]) -> str:
    """What only who has the file can say: the hash of the nonce and the bytes that were chosen.

    Args:
        read: Gives the bytes from a start up to an end.
    """
    hashed = hashlib.sha256(bytes.fromhex(challenge.nonce))
    for start, end in challenge.ranges:
        hashed.update(read(start, end))
    return hashed.hexdigest()
