"""What goes into the catalogue and what comes out of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.platform.catalog.problems import Problem

State = Literal["uploading", "checking", "ready", "failed"]


@dataclass(frozen=True)
class VersionFacts:
    """All that a row says of a version; the same whether it was registered or read back from its sidecars.

    ``path`` is relative to ``5_models``; ``created`` is the model's own time, ``registered`` the registry's.
    """

    name: str
    label: str
    state: State
    kind: str
    model_type: str
    base_model: str
    task: str
    description: str
    training_dataset: str
    training_steps: int
    performance: dict[str, float]
    tags: tuple[str, ...]
    path: str
    size_bytes: int
    checksum: str
    certified: bool
    created: str
    registered: str
    owner: str
    team: str

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.label}"

    @property
    def model_words(self) -> tuple[str, ...]:
        """What its model is found by because of this version."""
        told = (self.label, self.base_model, self.task, self.description, self.model_type, self.kind)
        return (*told, *self.tags)


@dataclass(frozen=True)
class VersionView(VersionFacts):
    """A registered version. ``seq`` counts the versions of its model from 1; ``trashed`` is when it was put away."""

    seq: int
    notes: str = ""
    trashed: str | None = None

    @property
    def size(self) -> str:
        return human_size(self.size_bytes)

    @property
    def state_word(self) -> str:
        """就绪, 校验中 … in the language in force."""
        return text(f"registry.state.{self.state}")

    def to_json(self) -> dict[str, Any]:
        return {"reference": self.reference, **vars(self), "tags": list(self.tags)}


@dataclass(frozen=True)
class ModelView:
    """A model with its newest version."""

    name: str
    owner: str
    team: str
    created: str
    updated: str
    version_count: int
    newest: VersionView
    type: str = "text"
    description: str = ""
    licence: str = ""
    visibility: str = "private"
    base_reference: str = ""
    size_bytes: int = 0
    trashed: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "newest": self.newest.to_json()}


@dataclass(frozen=True)
class HistoryView:
    time: str
    what: str
    model: str
    version: str
    details: dict[str, Any]


@dataclass(frozen=True)
class ModelDetail:
    """``chosen`` is the version that was asked for, else the newest; ``versions`` come newest first.

    ``next``: more versions follow, with lower numbers than this.
    """

    model: ModelView
    chosen: VersionView
    versions: tuple[VersionView, ...]
    history: tuple[HistoryView, ...]
    next: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model.to_json(),
            "chosen": self.chosen.to_json(),
            "versions": [version.to_json() for version in self.versions],
            "history": [vars(line) for line in self.history],
            "next": self.next,
        }


@dataclass(frozen=True)
class Registered:
    """``already``: the same content was there before and nothing was written."""

    version: VersionView
    already: bool
    warnings: tuple[Problem, ...] = ()

    def to_json(self) -> dict[str, Any]:
        warnings = [problem.to_json() for problem in self.warnings]
        return {"already": self.already, "version": self.version.to_json(), "warnings": warnings}


@dataclass(frozen=True)
class ValidationReport:
    """``state`` is that of the registered version at this place, ``None`` where there is none."""

    path: str
    kind: str
    reference: str | None
    state: State | None
    certified: bool
    file_count: int
    size_bytes: int
    checksum: str | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.level == "error")

    @property
    def warnings(self) -> tuple[Problem, ...]:
        return tuple(problem for problem in self.problems if problem.level == "warning")

    @property
    def is_whole(self) -> bool:
        return not self.errors

    @property
    def exit_code(self) -> int:
        """0, or 3 (data) for a damaged artefact."""
        return 0 if self.is_whole else 3

    def to_json(self) -> dict[str, Any]:
        problems = [problem.to_json() for problem in self.problems]
        return {**asdict(self), "is_whole": self.is_whole, "problems": problems}


@dataclass(frozen=True)
class Refused:
    """A folder that a rescan could not take, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class DatasetRescan:
    """What a rescan found of data sets; ``added``, ``gone`` and ``failed`` are references."""

    datasets: int = 0
    versions: int = 0
    added: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class RescanReport:
    """``added`` and ``gone`` are references, against the rows that were there before.

    ``datasets`` is the same of data sets; ``refused`` holds folders of both.
    """

    models: int
    versions: int
    added: tuple[str, ...]
    gone: tuple[str, ...]
    failed: tuple[str, ...]
    refused: tuple[Refused, ...]
    datasets: DatasetRescan = field(default_factory=DatasetRescan)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)
