"""Rows of Parquet and Arrow files, a thousand at a time; needs the ``[data]`` extra. Lines are row numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mozhu.engine.data.magic import is_arrow, is_parquet
from mozhu.engine.data.rows import RawRow
from mozhu.kernel.errors import DamagedDataFile
from mozhu.kernel.files import reading
from mozhu.specs.records.snapshot import RejectedRow

_BATCH_ROWS = 1000


class ParquetReader:
    def sniff(self, path: Path, head: bytes) -> bool:
        return is_parquet(head)

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        """Raises DamagedDataFile: DATA-010."""
        with reading(path), _opening(path), pq.ParquetFile(path, pre_buffer=False) as file:
            yield from _rows(path.name, file.iter_batches(batch_size=_BATCH_ROWS))


class ArrowReader:
    """The file and the stream format; Hugging Face's ``save_to_disk`` and cache write the latter."""

    def sniff(self, path: Path, head: bytes) -> bool:
        return is_arrow(head)

    def rows(self, path: Path) -> Iterator[RawRow | RejectedRow]:
        """Raises DamagedDataFile: DATA-010."""
        with reading(path), _opening(path), pa.memory_map(str(path)) as file:
            if file.read(6) == b"ARROW1":
                table = pa.ipc.open_file(file)
                batches = (table.get_batch(number) for number in range(table.num_record_batches))
            else:
                file.seek(0)
                batches = iter(pa.ipc.open_stream(file))
            yield from _rows(path.name, batches)


@contextmanager
def _opening(path: Path) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise DamagedDataFile(path=str(path), reason=str(error).splitlines()[0]) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DamagedDataFile(path=str(path), reason=str(error).splitlines()[0]) from error


def _rows(file: str, batches: Iterable[Any]) -> Iterator[RawRow]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            for value in batch.slice(start, _BATCH_ROWS).to_pylist():
                number += 1
                yield RawRow(file, number, {name: _plain(item) for name, item in value.items()})


def _plain(value: Any) -> Any:
    """``value`` as JSON would hold it. Arrow gives every struct all keys of its column; those without a
    value are left out again."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, (date, time)):
        return value.isoformat()
    return str(value) if isinstance(value, (Decimal, timedelta)) else value
