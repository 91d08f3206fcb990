"""Zstandard files; needs the ``[data]`` extra."""

from __future__ import annotations

from pathlib import Path

import zstandard

from mozhu.kernel.errors import DamagedDataFile

# Packed bytes taken at a time; a few of them may unpack to many.
_CHUNK_BYTES = 1 << 14


class ZstdFile:
    """The unpacked bytes of ``path``, over all of its frames."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._inside = False
        self._ready = b""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end.

        Raises:
            DamagedDataFile: DATA-010, also where the file ends before its last frame does.
        """
        while not self._ready:
            packed = self._file.read(_CHUNK_BYTES)
            if not packed:
                if self._inside:
                    raise DamagedDataFile(path=str(self._path), reason="truncated zstd frame")
                return b""
            self._ready = self._unpack(packed)
        content, self._ready = self._ready[:size], self._ready[size:]
        return content

    def close(self) -> None:
        self._file.close()

    def _unpack(self, packed: bytes) -> bytes:
        pieces = []
        while packed:
            try:
                pieces.append(self._frame.decompress(packed))
            except zstandard.ZstdError as error:
                raise DamagedDataFile(path=str(self._path), reason=str(error)) from error
            packed = self._frame.unused_data
            self._inside = not self._frame.eof
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
        return b"".join(pieces)
