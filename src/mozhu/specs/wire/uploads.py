"""Uploads on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from mozhu.specs.uploads import NewFile


class NewUpload(BaseModel):
    """The files that are to be sent. `purpose` is kept with the upload; `name` in it is the model they are for."""

    model_config = ConfigDict(extra="forbid")

    files: list[NewFile] = Field(min_length=1, max_length=10_000)
    team: str | None = Field(default=None, min_length=1, max_length=200)
    purpose: dict[str, Any] = Field(default={}, max_length=50)


class Proof(BaseModel):
    """The answer to the challenge of the file `path`: who has the file need not send it."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, max_length=1000)
    answer: str = Field(pattern=r"^[0-9a-f]{64}$")


class UploadFileWire(TypedDict):
    """`need` is `known` when nothing of it is sent."""

    path: str
    size: int
    sha256: str | None
    need: str
    challenge: dict[str, Any] | None
    first_part: int
    part_count: int


class UploadWire(TypedDict):
    """`missing` are the numbers of the parts that are still to be sent, as ranges [first, last]."""

    id: str
    owner: str
    team: str
    state: str
    purpose: dict[str, Any]
    files: list[UploadFileWire]
    part_size: int
    part_count: int
    missing: list[list[int]]
    missing_count: int
    received_bytes: int
    size_bytes: int
    created: str
    expires: str


class UploadsList(TypedDict):
    items: list[UploadWire]


class PartWire(TypedDict):
    """`already`: it was here before, and nothing was written."""

    number: int
    size: int
    sha256: str
    already: bool
