"""From what a person writes for data (a path, ``sample``, a name) to prepared rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from mozhu.engine.data.encodings import find_encoding
from mozhu.engine.data.places import Place, find_place
from mozhu.engine.data.readers import find_format, read_rows
from mozhu.engine.data.rows import RawRow, RowProblem, reasons, reject
from mozhu.engine.data.shapes import SHAPES, convert, recognise
from mozhu.kernel.errors import NoUsableRows, UnknownFileFormat, UnknownRowShape
from mozhu.kernel.files import sha256_file, sha256_json
from mozhu.specs.records.snapshot import RejectedRow

_EVIDENCE_ROWS = 1000


@dataclass(frozen=True)
class Source:
    """One file that was read: name, hash, format, encoding, shape of its rows, how many are usable or not.

    ``encoding`` is empty for formats that are not text.
    """

    file: str
    sha256: str
    format: str
    encoding: str
    shape: str
    rows: int
    rejected: int


@dataclass
class LoadedRows:
    """``rows`` are prepared rows (records.md): each holds ``messages`` or ``text``, never both."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)

    @property
    def total(self) -> int:
        return len(self.rows) + len(self.rejected)

    def finding(self) -> dict[str, Any] | None:
        """What to tell about rejected rows: fields of a ``finding`` event (DATA-133), or ``None``."""
        if not self.rejected:
            return None
        params = {
            "name": self.name,
            "count": len(self.rejected),
            "total": self.total,
            "reasons": reasons(self.rejected),
        }
        return {"level": "warning", "code": "DATA-133", "params": params}

    @property
    def sha256(self) -> str:
        """The hash of what the rows say, whatever file they came from."""
        return content_sha256(self.rows)


def content_sha256(rows: Iterable[dict[str, Any]]) -> str:
    """``sha256:…`` of the rows' contents in their order; ids and sources are left out."""
    return sha256_json([{key: row[key] for key in row if key not in {"row_id", "source"}} for row in rows])


def load_rows(
    ref: str,
    *,
    text_column: str = "text",
    system: str | None = None,
    format_type: str = "auto",
    input_format: str = "auto",
    part: str = "train",
) -> LoadedRows:
    """The prepared rows that ``ref`` means.

    Args:
        ref: A file; a folder with a snapshot (its ``part`` is read, else its single data file); ``sample``; a
            name in ``0_configs/1_model_config.json``; a name under ``data/`` here or in the workspace.
        text_column: Field that holds plain text. Named other than ``text``, it wins over the other signs.
        system: Put before conversations that have no system message.
        format_type: One of :data:`SHAPES`, or ``auto``: decided for each file by its rows.
        input_format: The name of a reader, or ``auto``: decided by the file's content.
        part: ``train``, ``validation`` or ``test`` of a snapshot.

    Raises:
        UnknownDataset: DATA-001. UnknownRowShape: DATA-002. NoUsableRows: DATA-003.
        UnknownFileFormat: DATA-004. ChangedSnapshot: DATA-005. MissingFile: FILE-001. BadJson: FILE-004.
        OfflineHub: ENV-003.
    """
    place = find_place(ref, part)
    return load_place(
        place, text_column=text_column, system=system, format_type=format_type, input_format=input_format
    )


def load_place(
    place: Place,
    *,
    name: str | None = None,
    text_column: str = "text",
    system: str | None = None,
    format_type: str = "auto",
    input_format: str = "auto",
) -> LoadedRows:
    """Like :func:`load_rows`, from a place that was found; ``name`` begins the row ids.

    Raises:
        NoUsableRows: DATA-003 with the most frequent reasons.
    """
    loaded = LoadedRows(name or place.name)
    form = find_format(place.path) if input_format == "auto" else input_format
    sha256 = sha256_file(place.path)
    raw = iter(read_rows(place.path, form))
    first = list(islice(raw, _EVIDENCE_ROWS))
    shape = _shape(place.path, first, text_column) if format_type == "auto" else format_type
    seen: set[str] = set()
    for number, row in enumerate(chain(first, raw), start=1):
        if isinstance(row, RejectedRow):
            loaded.rejected.append(row)
            continue
        try:
            content = convert(row.value, shape, text_column=text_column, system=system)
        except RowProblem as problem:
            loaded.rejected.append(reject(row, problem))
            continue
        loaded.rows.append(_prepared(row, content, f"{loaded.name}#{number}", sha256, seen))
    counts = (len(loaded.rows), len(loaded.rejected))
    loaded.sources.append(Source(place.path.name, sha256, form, _encoding(place.path), shape, *counts))
    if not loaded.rows:
        raise NoUsableRows(path=str(place.path), count=loaded.total, reasons=reasons(loaded.rejected) or "-")
    return loaded


def _encoding(path: Path) -> str:
    try:
        return find_encoding(path)
    except UnknownFileFormat:
        return ""


def _shape(path: Path, first: list[RawRow | RejectedRow], text_column: str) -> str:
    """The shape of the file's rows; any shape where no row could even be read, for nothing will be usable."""
    values = [row.value for row in first if isinstance(row, RawRow)]
    shape = recognise(values, text_column)
    if shape is None and values:
        objects = [value for value in values if isinstance(value, dict)]
        found = list(dict.fromkeys(str(key) for value in objects[:20] for key in value))
        raise UnknownRowShape(
            path=str(path), fields=found[:20] or ["-"], known=list(SHAPES), text_column=text_column
        )
    return shape or SHAPES[0]


def _prepared(
    row: RawRow, content: dict[str, Any], row_id: str, sha256: str, seen: set[str]
) -> dict[str, Any]:
    """The prepared row; a row that was prepared before keeps its id and its first source."""
    source: dict[str, Any] = {"file": row.file, "line": row.line, "sha256": sha256}
    if isinstance(row.value, dict) and _is_prepared(row.value) and row.value["row_id"] not in seen:
        row_id, source = row.value["row_id"], row.value["source"]
    seen.add(row_id)
    return {"row_id": row_id, **content, "source": source}


def _is_prepared(value: dict[str, Any]) -> bool:
    source = value.get("source")
    return (
        isinstance(value.get("row_id"), str)
        and bool(value["row_id"])
        and isinstance(source, dict)
        and isinstance(source.get("file"), str)
        and isinstance(source.get("line"), int)
        and source["line"] >= 1
    )
