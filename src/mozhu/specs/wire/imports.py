"""Imports on the wire: an upload becomes a version."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from mozhu.specs.wire.catalogue import AdviceWire
from mozhu.specs.wire.states import State

Word = Annotated[str, Field(min_length=1, max_length=200)]


class NewImport(BaseModel):
    """`upload` is to become a version; without `version` the next name is taken.

    What is left out is read from the files.
    `type`, `team` and `visibility` are those of the model: of one that is there they cannot be chosen again.
    """

    model_config = ConfigDict(extra="forbid")

    upload: str = Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9_-]+$")
    version: Word | None = None
    type: Literal["text", "image", "file"] | None = None
    description: str = Field(default="", max_length=20_000)
    tags: list[Word] = Field(default=[], max_length=100)
    licence: str = Field(default="", max_length=200)
    base: str = Field(default="", max_length=500)
    notes: str = Field(default="", max_length=20_000)
    team: Word | None = None
    visibility: Literal["private", "team", "everyone"] | None = None


class FindingWire(TypedDict):
    """`error` speaks against the files, `warning` is worth knowing, `info` tells what was done."""

    level: Literal["info", "warning", "error"]
    code: str
    params: dict[str, Any]
    message: str


class RecognisedWire(TypedDict, total=False):
    """What the files were found to be; empty until they have been looked at."""

    kind: str
    architecture: str | None
    family: str | None
    parameters: int | None
    size_bytes: int
    dtype: str | None
    has_template: bool
    licence: str | None
    base_model: str | None


class ProgressWire(TypedDict):
    """`done` of `total`, in `unit`; `eta_s` is null while nobody can tell."""

    done: int
    total: int
    unit: str
    eta_s: float | None


class ImportWire(TypedDict):
    """`reference` is the version's name, taken from the first moment on; it can be used when `state` is `ready`.

    `waits`: it goes on when it is asked for again, after what `findings` say was done. `run`: the folder of the run
    that looks at it, while there is one; `progress` how far that is, told of a single import.
    """

    id: str
    upload: str
    model: str
    version: str
    reference: str
    type: str
    state: State
    waits: bool
    findings: list[FindingWire]
    recognised: RecognisedWire
    advice: list[AdviceWire]
    run: str
    progress: ProgressWire | None
    owner: str
    team: str
    created: str
    finished: str | None


class ImportsPage(TypedDict):
    """`next` is the cursor of the page that follows, null on the last one."""

    items: list[ImportWire]
    next: str | None
