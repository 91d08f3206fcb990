"""Texts in the order they came, on disk where they are many: memory holds eight bytes for each."""

from __future__ import annotations

import tempfile
from array import array

# Below this they stay in memory.
_IN_MEMORY_BYTES = 16 << 20


class Spool:
    """Append texts and read them again by their numbers; what is on disk is gone with the object or the process."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 (gone with self)
        self._ends = array("Q", [0])
        self._place = 0

    def __len__(self) -> int:
        return len(self._ends) - 1

    def add(self, content: str) -> int:
        """Keep ``content``; returns its number."""
        packed = content.encode("utf-8", "surrogatepass")
        if self._place != self._ends[-1]:
            self._file.seek(self._ends[-1])
        self._file.write(packed)
        self._ends.append(self._ends[-1] + len(packed))
        self._place = self._ends[-1]
        return len(self._ends) - 2

    def __getitem__(self, number: int) -> str:
        return self._read(self._ends[number], self._ends[number + 1]).decode("utf-8", "surrogatepass")

    def between(self, start: int, end: int) -> list[str]:
        """The texts from number ``start`` to before ``end``, read at once."""
        end = min(end, len(self))
        first = self._ends[start]
        packed = self._read(first, self._ends[end])
        return [
            packed[self._ends[n] - first : self._ends[n + 1] - first].decode("utf-8", "surrogatepass")
            for n in range(start, end)
        ]

    def _read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        self._place = end
        return self._file.read(end - start)
