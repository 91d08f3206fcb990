"""Small pictures as PNG files, the same bytes on every machine: no compression library decides about them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

# (x, y) from -1 to 1, y downwards: whether the point lies in the shape.
SHAPES: dict[str, Callable[[float, float], bool]] = {
    "circle": lambda x, y: x * x + y * y <= 1,
    "square": lambda x, y: abs(x) <= 0.88 and abs(y) <= 0.88,
    "triangle": lambda x, y: abs(x) <= (y + 1) / 2,
    "diamond": lambda x, y: abs(x) + abs(y) <= 1,
    "cross": lambda x, y: (abs(x) <= 0.34 or abs(y) <= 0.34) and abs(x) <= 1 and abs(y) <= 1,
    "ring": lambda x, y: 0.3 <= x * x + y * y <= 1,
}
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BLOCK_BYTES = 65_535


class Canvas:
    """A square of ``size`` points a side, each one of at most 16 colours."""

    def __init__(self, size: int, background: int = 0) -> None:
        self.size = size
        self.rows = [bytearray([background]) * size for _ in range(size)]

    def draw(self, shape: str, colour: int, centre: tuple[int, int], radius: int) -> None:
        inside = SHAPES[shape]
        for down in range(-radius, radius + 1):
            across = [step for step in range(-radius, radius + 1) if inside(step / radius, down / radius)]
            for step in across:
                self.rows[centre[1] + down][centre[0] + step] = colour

    def png(self, palette: list[tuple[int, int, int]]) -> bytes:
        """The picture with four bits a point (ISO/IEC 15948), its data in stored blocks (RFC 1951, 3.2.4)."""
        lines = b"".join(
            b"\0" + bytes(left << 4 | right for left, right in zip(row[::2], row[1::2], strict=True))
            for row in self.rows
        )
        header = struct.pack(">IIBBBBB", self.size, self.size, 4, 3, 0, 0, 0)
        colours = b"".join(bytes(colour) for colour in palette)
        chunks = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", _stored(lines)), (b"IEND", b""))
        return _SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _stored(content: bytes) -> bytes:
    """``content`` as a zlib stream without compression: compressors differ between machines, this does not."""
    blocks = [content[start : start + _BLOCK_BYTES] for start in range(0, len(content), _BLOCK_BYTES)]
    stream = b"\x78\x01"
    for number, block in enumerate(blocks, start=1):
        last = number == len(blocks)
        stream += struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block
    return stream + struct.pack(">I", zlib.adler32(content))
