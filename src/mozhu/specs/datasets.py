"""What may be asked of the registry of data sets."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import RemoteSpec, Spec, Words


class DatasetListSpec(RemoteSpec):
    """Every data set; ``search`` is a part of a name, version, tag or description."""

    verb: ClassVar[str] = "datasets.list"

    search: str | None = None
    state: Literal["uploading", "checking", "ready", "failed"] | None = None


class DatasetRegisterSpec(Spec):
    """A prepared snapshot as a new version. What is left out is read from it."""

    verb: ClassVar[str] = "datasets.register"
    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(min_length=1)
    name: str | None = Field(default=None, min_length=1)
    version: str | None = Field(default=None, min_length=1)
    tags: Words = ()
    description: str | None = None
    copy_files: bool = False


class DatasetShowSpec(RemoteSpec):
    """One data set; ``name`` is a reference. ``row``: one of its rows, by its number or its id."""

    verb: ClassVar[str] = "datasets.show"

    name: str = Field(min_length=1)
    row: str | None = Field(default=None, min_length=1)


class DatasetValidateSpec(RemoteSpec):
    """Whether a snapshot or a registered version still has every byte that it had."""

    verb: ClassVar[str] = "datasets.validate"
    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(min_length=1)
