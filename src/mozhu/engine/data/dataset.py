"""From what a person writes for data (a path, ``sample``, a name) to prepared rows."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mozhu.engine.data.columns import Columns, Guess, check_columns, guess, parse_columns
from mozhu.engine.data.encodings import find_encoding
from mozhu.engine.data.fixers.mend import FixCount, Mended, Mender
from mozhu.engine.data.folders import DataFile
from mozhu.engine.data.magic import BY_CONTENT
from mozhu.engine.data.places import Place, find_place
from mozhu.engine.data.readers import find_format, read_rows
from mozhu.engine.data.rows import RawRow, RowProblem, reasons, reject
from mozhu.engine.data.shapes import EVIDENCE_ROWS, SHAPES, convert
from mozhu.engine.data.stages import check_stage
from mozhu.kernel.errors import (
    BadJson,
    DamagedDataFile,
    MozhuError,
    NoUsableRows,
    UnknownFileFormat,
    UnknownRowShape,
    shown_value,
)
from mozhu.kernel.files import sha256_file, sha256_json
from mozhu.specs.records.snapshot import RejectedRow

_UNREADABLE = (BadJson, DamagedDataFile, UnknownFileFormat, UnknownRowShape)


@dataclass(frozen=True)
class Source:
    """One file that was read: name, hash, format, encoding, shape of its rows, how many are usable or not.

    ``encoding`` is empty for formats that are not text. ``guess`` is what its first rows show (columns.py).
    """

    file: str
    sha256: str
    format: str
    encoding: str
    shape: str
    rows: int
    rejected: int
    guess: dict[str, Any] = field(default_factory=dict)


@dataclass
class LoadedRows:
    """``rows`` are prepared rows (records.md): each holds ``messages`` or ``text``, never both.

    ``evidence`` says, file by file, what its fields were taken for; ``left_out`` names files of other parts.
    """

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    evidence: list[str] = field(default_factory=list)
    left_out: tuple[str, ...] = ()

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


@dataclass(frozen=True)
class Reading:
    """How rows are read. ``format_type`` is one of :data:`SHAPES` or ``auto``: decided for each file by its rows.

    ``input_format`` is the name of a reader or ``auto``: decided by the file's content. ``columns`` is what
    ``--columns`` says. ``stage`` refuses rows that this stage does not learn from; ``None`` takes all. ``fix`` names
    the fixers that rows go through. With ``go_on`` a file that cannot be read, or not to its end, is one more
    rejected row, and the next file is read.
    """

    text_column: str = "text"
    system: str | None = None
    format_type: str = "auto"
    input_format: str = "auto"
    columns: str | None = None
    stage: str | None = None
    seed: int = 42
    go_on: bool = False
    fix: tuple[str, ...] = ()


Found = tuple[RawRow, dict[str, Any], Any, str]


class RowStream:
    """The rows of a place, one at a time, as often as wanted; only the first rows of a file are held.

    Each pass gives prepared rows and rejected ones in the files' order; after it ``sources`` says what was read and
    ``fixes`` what each fixer changed.

    Raises:
        UnknownFixers: DATA-041. OpposedFixers: DATA-042.
    """

    def __init__(self, place: Place, reading: Reading, name: str | None = None) -> None:
        self.place, self.reading = place, reading
        self.name = name or place.name
        self.sources: list[Source] = []
        self.evidence: list[str] = []
        self._told = parse_columns(reading.columns)
        self._mender = Mender(reading.fix)
        self.fixes: dict[str, FixCount] = self._mender.counts()
        self._facts: dict[Path, _File] = {}
        self._taken: set[int] | None = None

    def __iter__(self) -> Iterator[dict[str, Any] | RejectedRow]:
        for found in self.with_values():
            yield found if isinstance(found, RejectedRow) else found[1]

    def with_values(self) -> Iterator[Found | RejectedRow]:
        """Like iterating, each row as (raw row, prepared row, its value under the known names, its shape)."""
        if self.place.rows is not None and self._taken is None:
            self._taken = self._choose(self.place.rows)
        yield from self._pass(self._taken)

    def _choose(self, count: int) -> set[int]:
        """The numbers of ``count`` usable rows: those whose hash of place and seed is smallest."""
        largest: list[tuple[int, int]] = []
        for number, _ in enumerate(row for row in self._pass(None) if not isinstance(row, RejectedRow)):
            digest = hashlib.blake2b(f"{self.reading.seed}:{number}".encode(), digest_size=8).digest()
            item = (-int.from_bytes(digest, "big"), number)
            if len(largest) < count:
                heapq.heappush(largest, item)
            elif largest:
                heapq.heappushpop(largest, item)
        return {number for _, number in largest}

    def _pass(self, taken: set[int] | None) -> Iterator[Found | RejectedRow]:
        self.sources, self.evidence, self.fixes = [], [], self._mender.counts()
        number = good = 0
        ids = _Ids()
        for file in self.place.files:
            try:
                facts = self._known(file)
            except _UNREADABLE as error:
                if not self.reading.go_on:
                    raise
                number += 1
                yield _unreadable(file, error)
                continue
            counts = [0, 0]
            for row in self._rows(file, facts):
                number += 1
                if isinstance(row, RejectedRow):
                    counts[1] += 1
                    yield row
                    continue
                raw, value, mended = row
                good += 1
                prepared = _prepared(raw, mended, f"{self.name}#{number}", facts.sha256, ids)
                if self.place.registration is not None:
                    prepared["row_id"] = self.place.registration.row_id(prepared["row_id"])
                if taken is None or good - 1 in taken:
                    counts[0] += 1
                    self._count(mended)
                    yield raw, prepared, value, facts.shape
            self._close(file, facts, counts)

    def _count(self, mended: Mended) -> None:
        for name, changes in mended.changes.items():
            self.fixes[name].rows += 1
            self.fixes[name].changes += changes

    def _close(self, file: DataFile, facts: _File, counts: list[int]) -> None:
        found = facts.guess.to_json() if facts.guess else {}
        rows, rejected = counts
        source = Source(
            file.label, facts.sha256, facts.form, facts.encoding, facts.shape, rows, rejected, found
        )
        self.sources.append(source)
        if facts.guess:
            self.evidence.append(f"`{file.label}`: {facts.guess.sentence()}")

    def _known(self, file: DataFile) -> _File:
        if file.path not in self._facts:
            self._facts[file.path] = self._look(file)
        return self._facts[file.path]

    def _look(self, file: DataFile) -> _File:
        """What the file is, from its first rows."""
        reading, path = self.reading, file.path
        form = find_format(path) if reading.input_format == "auto" else reading.input_format
        begin = islice(self._read(file, form), EVIDENCE_ROWS)
        first = [row.value for row in begin if isinstance(row, RawRow)]
        columns = self._told or self.place.columns
        check_columns(reading.columns, self._told, first)
        found = guess(first, reading.text_column, columns)
        shape = reading.format_type
        if shape == "auto":
            shape = self.place.shape
        if shape == "auto":
            shape = found.shape if found else _no_shape(path, first, reading.text_column)
            if found and found.columns:
                columns = Columns(found.columns)
        if found and found.shape != shape:
            found = None
        check_stage(reading.stage, shape, path, found.sentence() if found else "")
        encoding = "" if form in BY_CONTENT else find_encoding(path)
        return _File(form, encoding, shape, columns, sha256_file(path), found)

    def _rows(self, file: DataFile, facts: _File) -> Iterator[tuple[RawRow, Any, Mended] | RejectedRow]:
        folders = tuple(dict.fromkeys((file.path.parent, self._root())))

        def prepare(value: Any) -> dict[str, Any]:
            return convert(
                value,
                facts.shape,
                text_column=self.reading.text_column,
                system=self.reading.system,
                image_folders=folders,
            )

        for row in self._read(file, facts.form):
            label = file.label + row.file.removeprefix(file.path.name)
            if isinstance(row, RejectedRow):
                yield row.model_copy(update={"file": label}) if label != row.file else row
                continue
            raw = replace(row, file=label) if label != row.file else row
            value = facts.columns.apply(raw.value)
            try:
                mended = self._mender.convert(value, prepare)
            except RowProblem as problem:
                yield reject(raw, facts.columns.blame(problem))
                continue
            yield raw, mended.value, mended

    def _read(self, file: DataFile, form: str) -> Iterator[RawRow | RejectedRow]:
        try:
            yield from read_rows(file.path, form)
        except _UNREADABLE as error:
            if not self.reading.go_on:
                raise
            yield _unreadable(file, error)

    def _root(self) -> Path:
        return self.place.path if self.place.path.is_dir() else self.place.path.parent


@dataclass(frozen=True)
class _File:
    form: str
    encoding: str
    shape: str
    columns: Columns
    sha256: str
    guess: Guess | None


def load_rows(
    ref: str,
    *,
    text_column: str = "text",
    system: str | None = None,
    format_type: str = "auto",
    input_format: str = "auto",
    columns: str | None = None,
    part: str = "train",
    stage: str | None = "sft",
) -> LoadedRows:
    """The prepared rows that ``ref`` means.

    Args:
        ref: What :func:`~mozhu.engine.data.places.find_place` takes: a file, a folder, a pattern, ``sample``, a
            name, ``dataset_info.json:name``, a hub's ``owner/name:subset#rows``.
        text_column: Field that holds plain text. Named other than ``text``, it wins over the other signs.
        system: Put before conversations that have no system message.
        format_type: One of :data:`SHAPES`, or ``auto``: decided for each file by its rows.
        input_format: The name of a reader, or ``auto``: decided by the file's content.
        columns: ``field=meaning`` pairs with commas, for fields under names of their own.
        part: ``train``, ``validation`` or ``test``, where there are parts.
        stage: What the rows are for; rows that it does not learn from are refused. ``None`` takes all.

    Raises:
        UnknownDataset: DATA-001. UnknownRowShape: DATA-002. NoUsableRows: DATA-003.
        UnknownFileFormat: DATA-004. ChangedSnapshot: DATA-005. DamagedDataFile: DATA-010.
        WrongStage: DATA-011. BadColumns: DATA-012. UnknownSubset: DATA-013. UnusableEntry: DATA-014.
        MissingFile: FILE-001. BadJson: FILE-004. MissingExtra: ENV-001. OfflineHub: ENV-003.
    """
    reading = Reading(text_column, system, format_type, input_format, columns, stage)
    return collect(RowStream(find_place(ref, part), reading))


def open_rows(
    ref: str, reading: Reading | None = None, *, part: str = "train", name: str | None = None
) -> RowStream:
    """The rows that ``ref`` means as a stream that can be read several times in bounded memory."""
    return RowStream(find_place(ref, part), reading or Reading(), name)


def collect(stream: RowStream) -> LoadedRows:
    """All rows of ``stream`` in memory.

    Raises:
        NoUsableRows: DATA-003.
    """
    loaded = LoadedRows(stream.name, left_out=stream.place.left_out)
    for row in stream:
        if isinstance(row, RejectedRow):
            loaded.rejected.append(row)
        else:
            loaded.rows.append(row)
    loaded.sources, loaded.evidence = stream.sources, stream.evidence
    if not loaded.rows:
        count, why = loaded.total, reasons(loaded.rejected) or "-"
        raise NoUsableRows(path=str(stream.place.path), count=count, reasons=why)
    return loaded


def _unreadable(file: DataFile, error: MozhuError) -> RejectedRow:
    """``error``, which ends the reading of ``file``, as a rejected row at the place where it ended."""
    line = error.params.get("line")
    return RejectedRow(
        file=file.label,
        line=line if isinstance(line, int) else 1,
        field="",
        code=error.code,
        params={name: shown_value(value) for name, value in error.params.items()},
        excerpt="",
        fix=error.next,
    )


def _no_shape(path: Path, first: list[Any], text_column: str) -> str:
    """Any shape where no row could even be read, for nothing will be usable.

    Raises:
        UnknownRowShape: DATA-002 with the fields that were found.
    """
    if first:
        objects = [value for value in first if isinstance(value, dict)]
        found = list(dict.fromkeys(str(key) for value in objects[:20] for key in value))
        raise UnknownRowShape(
            path=str(path), fields=found[:20] or ["-"], known=list(SHAPES), text_column=text_column
        )
    return SHAPES[0]


class _Ids:
    """Which ids of prepared rows were met before: 64 bits of each are kept, not the id."""

    def __init__(self) -> None:
        self._kept: set[int] = set()

    def is_new(self, row_id: str) -> bool:
        digest = hash(row_id)
        if digest in self._kept:
            return False
        self._kept.add(digest)
        return True


def _prepared(row: RawRow, mended: Mended, row_id: str, sha256: str, ids: _Ids) -> dict[str, Any]:
    """The prepared row; a row that was prepared before keeps its id and its first source.

    ``source`` names every fixer that changed it, those of earlier times first.
    """
    source: dict[str, Any] = {"file": row.file, "line": row.line, "sha256": sha256}
    if isinstance(row.value, dict) and _is_prepared(row.value) and ids.is_new(row.value["row_id"]):
        row_id, source = row.value["row_id"], row.value["source"]
    if mended.changes:
        earlier = source.get("fixed")
        fixed = [*(earlier if isinstance(earlier, list) else ()), *mended.changes]
        source = {**source, "fixed": list(dict.fromkeys(fixed))}
    return {"row_id": row_id, **mended.content, "source": source}


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
