"""What a hostile file is, and the small assembler for pickles."""

from __future__ import annotations

import struct
from dataclasses import dataclass

# What a payload would run; the file must never appear.
COMMAND = "touch mozhu-was-here"


@dataclass(frozen=True)
class Hostile:
    """``file`` is what it would be handed in as; ``codes`` are findings of which at least one must be made."""

    name: str
    file: str
    content: bytes
    codes: tuple[str, ...]


def named(module: str, name: str) -> bytes:
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def words(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def short(text: str) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text.encode()


def called(function: bytes, *arguments: bytes) -> bytes:
    return function + b"(" + b"".join(arguments) + b"tR"


def pickle(body: bytes, protocol: int = 2) -> bytes:
    return (b"" if protocol < 2 else b"\x80" + bytes([protocol])) + body + b"."
