"""Examples on disk as flat numbers, read through memory maps: a million rows cost no memory until they are used.

A folder holds, little-endian:
    ids.i32        the tokens of all examples, end to end
    ends.i64       where each example ends in it
    spans.i32      the [start, end) pairs of what is learned, within their example
    span_ends.i64  where each example's spans end in it, in numbers
    rows.txt       the row ids, UTF-8, end to end
    row_ends.i64   where each row id ends in it, in bytes
    marks.i32      a number for each example, where the stage has one (wanted or not, a class); else empty
"""

from __future__ import annotations

import mmap
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, overload

from mozhu.engine.data.encoding import IGNORED, EncodedExample
from mozhu.engine.data.tokens import Example, TokenStats, stats_of_lengths
from mozhu.kernel.files import reading, writing

IDS, ENDS, SPANS, SPAN_ENDS, ROWS, ROW_ENDS, MARKS = FILES = (
    "ids.i32",
    "ends.i64",
    "spans.i32",
    "span_ends.i64",
    "rows.txt",
    "row_ends.i64",
    "marks.i32",
)
_CODES = {".i32": "i", ".i64": "q", ".txt": "B"}
_BUFFERED = 1 << 16


class StoreWriter:
    """Writes a store into the folder ``path``; a context manager. ``stats`` are those of what was added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = self.labels = 0
        self.lengths: Counter[int] = Counter()
        self._files: dict[str, Any] = {}
        self._kept = {name: array(_CODES[Path(name).suffix]) for name in FILES}
        self._sizes = dict.fromkeys(FILES, 0)
        self._open = ExitStack()

    def __enter__(self) -> StoreWriter:
        with writing(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            for name in FILES:
                self._files[name] = self._open.enter_context(open(self.path / name, "wb"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self.path), self._open:
            if kind is None:
                self._flush()

    def add(self, example: EncodedExample, row_id: str, mark: int | None = None) -> None:
        self._put(IDS, example.ids, ENDS)
        self._put(SPANS, [place for span in example.spans for place in span], SPAN_ENDS)
        self._put(ROWS, row_id.encode("utf-8"), ROW_ENDS)
        if mark is not None:
            self._kept[MARKS].append(mark)
        self.count += 1
        self.lengths[len(example.ids)] += 1
        self.labels += sum(end - start for start, end in example.spans)
        if len(self._kept[IDS]) >= _BUFFERED:
            with writing(self.path):
                self._flush()

    @property
    def stats(self) -> TokenStats:
        return stats_of_lengths(self.lengths, self.labels)

    def _put(self, name: str, items: Any, ends: str) -> None:
        self._kept[name].extend(items)
        self._sizes[name] += len(items)
        self._kept[ends].append(self._sizes[name])

    def _flush(self) -> None:
        for name, kept in self._kept.items():
            _little(kept).tofile(self._files[name])
            del kept[:]


class TokenStore(Sequence[Example]):
    """The examples of a folder that a :class:`StoreWriter` wrote, or those of them that ``chosen`` numbers.

    Raises:
        MissingFile: FILE-001. NotReadable: FILE-005.
    """

    def __init__(self, path: Path, chosen: Path | None = None) -> None:
        self.path, self.chosen = path, chosen
        self._ids, self._ends = _mapped(path / IDS), _mapped(path / ENDS)
        self._spans, self._span_ends = _mapped(path / SPANS), _mapped(path / SPAN_ENDS)
        self._rows, self._row_ends = _mapped(path / ROWS), _mapped(path / ROW_ENDS)
        self._marks = _mapped(path / MARKS)
        self._chosen = _mapped(chosen) if chosen is not None else range(len(self._ends))

    def __len__(self) -> int:
        return len(self._chosen)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        if isinstance(index, slice):
            return [self._example(place) for place in self._chosen[index]]
        return self._example(self._chosen[index])

    def mark(self, index: int) -> int:
        """The number that the stage gave the example; 0 where it gives none."""
        return int(self._marks[self._chosen[index]]) if len(self._marks) else 0

    def __reduce__(self) -> tuple[Any, ...]:
        return TokenStore, (self.path, self.chosen)

    def _example(self, number: int) -> Example:
        ids = self._piece(self._ids, self._ends, number).tolist()
        bounds = self._piece(self._spans, self._span_ends, number).tolist()
        labels = [IGNORED] * len(ids)
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            labels[start:end] = ids[start:end]
        row_id = bytes(self._piece(self._rows, self._row_ends, number)).decode("utf-8")
        return Example(ids, labels, row_id)

    def _piece(self, flat: Any, ends: Any, number: int) -> Any:
        return flat[ends[number - 1] if number else 0 : ends[number]]


def write_numbers(path: Path, numbers: array[int]) -> None:
    """``numbers`` (64 bits each) as a file that chooses examples of a store."""
    with writing(path), open(path, "wb") as file:
        _little(numbers).tofile(file)


def _mapped(path: Path) -> Any:
    """The numbers of a file as a sequence that lies on disk."""
    code: Any = _CODES[path.suffix]
    with reading(path), open(path, "rb") as file:
        if not path.stat().st_size:
            return memoryview(b"").cast(code)
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)).cast(code)
    if sys.byteorder == "big" and code != "B":
        swapped = array(code, content)
        swapped.byteswap()
        return memoryview(swapped)
    return content


def _little(numbers: array[int]) -> array[int]:
    if sys.byteorder == "little" or numbers.itemsize == 1:
        return numbers
    swapped = array(numbers.typecode, numbers)
    swapped.byteswap()
    return swapped
