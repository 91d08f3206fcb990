"""What goes into the catalogue of data sets and what comes out of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.platform.catalog.problems import Problem
from mozhu.platform.catalog.views import HistoryView, State


@dataclass(frozen=True)
class DatasetFacts:
    """All that a row says of a version; the same whether it was registered or read back from its folder.

    ``parts``: of each part its file, rows, bytes and hash. ``content`` is the address of what it holds.
    ``kind`` is what its rows teach: sft, pt, dpo, rm, kto, classification or multimodal; empty where it is not known.
    ``path`` is relative to ``5_models``; ``created`` is the snapshot's own time, ``registered`` the registry's.
    """

    name: str
    label: str
    state: State
    description: str
    tags: tuple[str, ...]
    path: str
    size_bytes: int
    row_count: int
    rejected_count: int
    parts: dict[str, dict[str, Any]]
    content: str
    created: str
    registered: str
    owner: str
    team: str
    kind: str

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.label}"


@dataclass(frozen=True)
class DatasetVersionView(DatasetFacts):
    """A registered version. ``seq`` counts the versions of its data set from 1; ``trashed`` is when it was put away."""

    seq: int
    notes: str = ""
    trashed: str | None = None

    @property
    def size(self) -> str:
        return human_size(self.size_bytes)

    @property
    def state_word(self) -> str:
        """就绪, 失败 … in the language in force."""
        return text(f"registry.state.{self.state}")

    def to_json(self) -> dict[str, Any]:
        return {"reference": self.reference, **asdict(self), "tags": list(self.tags)}


@dataclass(frozen=True)
class DatasetView:
    """A data set with its newest version, of those that were asked for."""

    name: str
    owner: str
    team: str
    created: str
    updated: str
    version_count: int
    newest: DatasetVersionView
    kind: str = ""
    description: str = ""
    licence: str = ""
    visibility: str = "private"
    size_bytes: int = 0
    trashed: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "newest": self.newest.to_json()}


@dataclass(frozen=True)
class DatasetDetail:
    """``chosen`` is the version that was asked for, else the newest; ``versions`` come newest first.

    ``recipe`` is what its ``snapshot.json`` says of how it was made, empty where that is gone. ``used_by`` are
    the references of model versions that were trained on ``chosen``.
    """

    dataset: DatasetView
    chosen: DatasetVersionView
    versions: tuple[DatasetVersionView, ...]
    recipe: dict[str, Any]
    files: tuple[str, ...]
    used_by: tuple[str, ...]
    history: tuple[HistoryView, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "dataset": self.dataset.to_json(),
            "chosen": self.chosen.to_json(),
            "versions": [version.to_json() for version in self.versions],
            "recipe": self.recipe,
            "files": list(self.files),
            "used_by": list(self.used_by),
            "history": [asdict(line) for line in self.history],
        }


@dataclass(frozen=True)
class DatasetRow:
    """One row of a version: its id there, its part, its content, and where it came from."""

    row_id: str
    part: str
    row: dict[str, Any]

    @property
    def source(self) -> dict[str, Any]:
        return dict(self.row.get("source") or {})

    def to_json(self) -> dict[str, Any]:
        return {"row_id": self.row_id, "part": self.part, "row": {**self.row, "row_id": self.row_id}}


@dataclass(frozen=True)
class RegisteredDataset:
    """``already``: the same content was there before and nothing was written."""

    version: DatasetVersionView
    already: bool

    def to_json(self) -> dict[str, Any]:
        return {"already": self.already, "version": self.version.to_json()}


@dataclass(frozen=True)
class DatasetReport:
    """``reference`` and ``state`` are those of the registered version at this place, ``None`` where there is none."""

    path: str
    reference: str | None
    state: State | None
    row_count: int
    file_count: int
    size_bytes: int
    content: str
    problems: tuple[Problem, ...] = field(default=())

    @property
    def is_whole(self) -> bool:
        return not self.problems

    @property
    def exit_code(self) -> int:
        """0, or 3 (data) for a damaged one."""
        return 0 if self.is_whole else 3

    def to_json(self) -> dict[str, Any]:
        problems = [problem.to_json() for problem in self.problems]
        return {**asdict(self), "is_whole": self.is_whole, "problems": problems}
