"""What lies in the folder of a snapshot: found, read once from end to end, every problem told."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mozhu.kernel.errors import MissingFile, MozhuError, NotPrepared
from mozhu.kernel.files import finite, reading, sha256_json
from mozhu.kernel.paths import dataset_word
from mozhu.platform.catalog.problems import Problem, fault
from mozhu.specs.records.dataset import SNAPSHOT
from mozhu.specs.records.manifest import ManifestFile
from mozhu.specs.records.result import Result
from mozhu.specs.records.snapshot import Snapshot

CARD, REJECTED = "card.md", "rejected.jsonl"
# What a snapshot may have beside its parts; other files of the folder are none of it.
BESIDE = (CARD, REJECTED)
RowIds = Literal["number", "whole"]
# Said once in the snapshot's own words and once as data: the words depend on the language in force.
_WORDS_OF_SETTINGS = frozenset({"guess"})
_WORDS_OF_ROW = frozenset({"params", "fix"})  # of a copy they name the other row by its id
_NOT_CONTENT = frozenset({"schema", "name", "created", "parts", "sha256"})
_SHOWN_ROWS = 5
# What rows of a shape, as their preparation recognised it, teach.
_KIND_OF_SHAPE = {
    **dict.fromkeys(("alpaca", "messages", "sharegpt", "prompt"), "sft"),
    "text": "pt",
    "preference": "dpo",
    "ranking": "rm",
    "kto": "kto",
    "classification": "classification",
}
KINDS = (*dict.fromkeys(_KIND_OF_SHAPE.values()), "multimodal")


@dataclass(frozen=True)
class PartFacts:
    """One part as it lies there. ``content`` is the hash of its rows without their ids."""

    path: str
    rows: int
    bytes: int
    sha256: str
    content: str
    has_images: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "rows": self.rows, "bytes": self.bytes, "sha256": self.sha256}


@dataclass(frozen=True)
class SnapshotFacts:
    """A snapshot, read whole. ``files`` are its own ones, sorted; ``row_ids`` see DatasetRegistration."""

    folder: Path
    snapshot: Snapshot | None
    problems: tuple[Problem, ...]
    parts: dict[str, PartFacts] = field(default_factory=dict)
    files: tuple[ManifestFile, ...] = ()
    content: str = ""
    row_ids: RowIds = "number"

    @property
    def kind(self) -> str:
        """What most of its rows teach; empty where its snapshot does not say."""
        if self.snapshot is None:
            return ""
        counts: Counter[str] = Counter()
        for source in self.snapshot.sources:
            kind = _KIND_OF_SHAPE.get(str(source.get("shape")), "")
            counts[kind] += int(source.get("rows") or 0)
        return "multimodal" if self.has_images else next((kind for kind, _ in counts.most_common(1)), "")

    @property
    def has_images(self) -> bool:
        return any(part.has_images for part in self.parts.values())

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.level == "error")

    @property
    def row_count(self) -> int:
        return sum(part.rows for part in self.parts.values())

    @property
    def size_bytes(self) -> int:
        return sum(file.size for file in self.files)


def find_snapshot(path: Path) -> Path:
    """The folder of the snapshot at ``path``: the folder itself, its ``snapshot.json``, or the run that made it.

    Raises:
        MissingFile: FILE-001. NotPrepared: REG-012 with the command that prepares what lies there.
    """
    path = path.absolute()
    if not path.exists():
        raise MissingFile(path=str(path))
    if path.name == SNAPSHOT and path.is_file():
        return path.parent
    if (path / SNAPSHOT).is_file():
        return path
    made = _made_by_run(path)
    if made is not None:
        return made
    name = dataset_word(str(path))
    command = f'mozhu data prepare --input "{path}" --output_dir data/{name} --output_name {name} --register_as {name}'
    if path.is_file() and (path.parent / SNAPSHOT).is_file():
        command = f'mozhu datasets register "{path.parent}"'
    raise NotPrepared(path=str(path), command=command)


def read_snapshot(folder: Path) -> SnapshotFacts:
    """Everything about the snapshot in ``folder``, each part read once."""
    try:
        snapshot = Snapshot.read(folder / SNAPSHOT)
    except MozhuError as error:
        return SnapshotFacts(folder, None, (fault(SNAPSHOT, "unreadable", reason=error.what),))
    problems: list[Problem] = []
    reader = _Reader(problems)
    parts: dict[str, PartFacts] = {}
    for name, told in snapshot.parts.items():
        found = reader.part(folder, told.path)
        if found is None:
            continue
        parts[name] = found
        if found.sha256 != told.sha256:
            problems.append(fault(told.path, "sha256", expected=told.sha256[:19], found=found.sha256[:19]))
        elif found.rows != told.rows:
            problems.append(fault(told.path, "row_count", expected=told.rows, found=found.rows))
    if not problems and not any(part.rows for part in parts.values()):
        problems.append(fault(SNAPSHOT, "no_rows"))
    row_ids: RowIds = "number"
    if not problems and reader.numbers_repeat:
        row_ids = "whole"
        problems += _repeated_ids(folder, parts)
    if problems:
        return SnapshotFacts(folder, snapshot, tuple(problems), parts)
    files = _files(folder, parts)
    return SnapshotFacts(folder, snapshot, (), parts, files, _content(folder, snapshot, parts), row_ids)


def find_row(folder: Path, wanted: str, *, ids: Any) -> tuple[str, dict[str, Any]] | None:
    """The part and the row whose id is ``wanted``; ``ids`` gives the id of a row from the one it has."""
    snapshot = Snapshot.read(folder / SNAPSHOT)
    for name, part in snapshot.parts.items():
        for _, row in _rows(folder / Path(part.path).name):
            if isinstance(row, dict) and ids(str(row.get("row_id"))) == wanted:
                return name, row
    return None


def first_row_id(folder: Path) -> str:
    """The id, as it is written, of the first row of the snapshot in ``folder``."""
    for part in Snapshot.read(folder / SNAPSHOT).parts.values():
        for _, row in _rows(folder / Path(part.path).name):
            return str(row["row_id"])
    return ""


class _Reader:
    """Reads the parts of one snapshot; ``numbers_repeat``: the numbers at the end of the ids are not unique."""

    def __init__(self, problems: list[Problem]) -> None:
        self.numbers_repeat = False
        self._problems = problems
        self._numbers: set[int] = set()

    def part(self, folder: Path, told: str) -> PartFacts | None:
        if Path(told).name != told:
            self._problems.append(fault(told, "outside"))
            return None
        if not (folder / told).is_file():
            self._problems.append(fault(told, "missing"))
            return None
        return self._read(folder / told)

    def _read(self, path: Path) -> PartFacts:
        whole, content = hashlib.sha256(), hashlib.sha256()
        size, rows, has_images = 0, 0, False
        bad: list[int] = []
        for line, row in _rows(path):
            size += len(line)
            whole.update(line)
            rows += 1
            if not _is_prepared(row):
                bad.append(rows)
                continue
            content.update(_canonical({key: row[key] for key in row if key != "row_id"}))
            self._take(row["row_id"])
            has_images = has_images or bool(row.get("images"))
        if bad:
            lines = ", ".join(map(str, bad[:_SHOWN_ROWS])) + (" …" if len(bad) > _SHOWN_ROWS else "")
            self._problems.append(fault(path.name, "not_prepared_rows", count=len(bad), lines=lines))
        return PartFacts(
            path.name,
            rows,
            size,
            f"sha256:{whole.hexdigest()}",
            f"sha256:{content.hexdigest()}",
            has_images,
        )

    def _take(self, row_id: str) -> None:
        last = row_id.rpartition("#")[2]
        number = int(last) if last.isascii() and last.isdigit() else hash(last)
        self.numbers_repeat |= number in self._numbers
        self._numbers.add(number)


def _rows(path: Path) -> Iterator[tuple[bytes, Any]]:
    """Each line with its value, ``None`` where it holds none."""
    with reading(path), open(path, "rb") as file:
        for line in file:
            try:
                yield line, json.loads(line)
            except ValueError:
                yield line, None


def _repeated_ids(folder: Path, parts: dict[str, PartFacts]) -> list[Problem]:
    seen: set[int] = set()
    problems = []
    for part in parts.values():
        repeated: dict[str, None] = {}
        for _, row in _rows(folder / part.path):
            digest = hash(row["row_id"])
            if digest in seen:
                repeated[row["row_id"]] = None
            seen.add(digest)
        if repeated:
            shown = ", ".join(list(repeated)[:_SHOWN_ROWS])
            problems.append(fault(part.path, "row_id_twice", count=len(repeated), ids=shown))
    return problems


def _is_prepared(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and isinstance(row.get("row_id"), str)
        and bool(row["row_id"])
        and isinstance(row.get("source"), dict)
        and ("messages" in row or "text" in row)
    )


def _files(folder: Path, parts: dict[str, PartFacts]) -> tuple[ManifestFile, ...]:
    known = {
        part.path: ManifestFile(path=part.path, size=part.bytes, sha256=part.sha256)
        for part in parts.values()
    }
    for name in (SNAPSHOT, *BESIDE):
        if (folder / name).is_file():
            known[name] = ManifestFile.of(folder, folder / name)
    return tuple(known[name] for name in sorted(known))


def _content(folder: Path, snapshot: Snapshot, parts: dict[str, PartFacts]) -> str:
    """The address of the content: rows and sources, what was rejected, and the recipe.

    The ids of the rows (they begin with a name), names of files, times and words in the language in force are
    left out: they may differ between two preparations of the same.
    """
    recipe = {name: value for name, value in snapshot.to_json().items() if name not in _NOT_CONTENT}
    settings = recipe.get("settings", {})
    recipe["settings"] = {name: settings[name] for name in settings if name not in _WORDS_OF_SETTINGS}
    rows = {name: [part.rows, part.content] for name, part in parts.items()}
    return sha256_json({"rows": rows, "rejected": _rejected(folder / REJECTED), "recipe": recipe})


def _rejected(path: Path) -> str:
    digest = hashlib.sha256()
    for line, row in _rows(path) if path.is_file() else ():
        digest.update(
            _canonical({key: row[key] for key in row if key not in _WORDS_OF_ROW})
            if isinstance(row, dict)
            else line
        )
    return f"sha256:{digest.hexdigest()}"


def _canonical(row: dict[str, Any]) -> bytes:
    content = json.dumps(finite(row), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return content.encode("utf-8", errors="surrogatepass") + b"\n"


def _made_by_run(folder: Path) -> Path | None:
    """The snapshot that the run in ``folder`` made."""
    if not (folder / "spec.json").is_file() or not (folder / "result.json").is_file():
        return None
    for artefact in Result.read(folder / "result.json").artefacts:
        place = folder / artefact.path
        if artefact.kind == "snapshot" and place.is_file():
            return place.parent
    return None
