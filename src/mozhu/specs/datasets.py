"""What may be asked of the registry of data sets."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import RemoteSpec, Spec, Words
from mozhu.specs.registry import AliasSpec, DeleteSpec, RestoreSpec


class DatasetListSpec(RemoteSpec):
    """A page of the data sets, last changed first; ``cursor`` is ``next`` of the page before, ``all``: every page."""

    verb: ClassVar[str] = "datasets.list"

    search: str | None = Field(default=None, max_length=200)
    kind: Literal["sft", "pt", "dpo", "rm", "kto", "classification", "multimodal"] | None = None
    tag: str | None = Field(default=None, min_length=1, max_length=200)
    owner: str | None = Field(default=None, min_length=1, max_length=200)
    team: str | None = Field(default=None, min_length=1, max_length=200)
    visibility: Literal["private", "team", "everyone"] | None = None
    state: Literal["uploading", "checking", "ready", "failed"] | None = None
    sort: Literal["updated", "name"] = "updated"
    trash: bool = False
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = None
    all: bool = False

    def question(self) -> dict[str, Any]:
        """What is asked for, without which page of it."""
        asked = self.model_dump(exclude={"server", "limit", "cursor", "all"})
        return {**asked, "search": self.search or ""}


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


class DatasetEditSpec(RemoteSpec):
    """What is given changes, all else stays; ``notes`` and ``tags`` are of a version, the newest one unless named."""

    verb: ClassVar[str] = "datasets.edit"

    name: str = Field(min_length=1)
    description: str | None = Field(default=None, max_length=20_000)
    licence: str | None = Field(default=None, max_length=200)
    visibility: Literal["private", "team", "everyone"] | None = None
    notes: str | None = Field(default=None, max_length=20_000)
    tags: Words | None = None

    def of_dataset(self) -> dict[str, Any]:
        """The fields of the data set itself that are to change."""
        return self.model_dump(exclude={"name", "server", "notes", "tags"}, exclude_none=True)


class DatasetShareSpec(RemoteSpec):
    """Who may do what with a data set; without ``whom`` only told."""

    verb: ClassVar[str] = "datasets.share"

    name: str = Field(min_length=1)
    whom: str | None = Field(default=None, min_length=1, max_length=210)
    right: Literal["read", "use", "write", "manage"] = "read"
    revoke: bool = False


class DatasetDeleteSpec(DeleteSpec):
    """A version, or a data set with all its versions, into the trash."""

    verb: ClassVar[str] = "datasets.delete"


class DatasetRestoreSpec(RestoreSpec):
    """A version or a data set out of the trash."""

    verb: ClassVar[str] = "datasets.restore"


class DatasetAliasSpec(AliasSpec):
    """``name@alias`` is a version from now on; ``remove`` takes the alias away, without one they are told."""

    verb: ClassVar[str] = "datasets.alias"


class DatasetCopySpec(RemoteSpec):
    """A data set, or one version of it, under a new name as one's own."""

    verb: ClassVar[str] = "datasets.copy"

    name: str = Field(min_length=1)
    to: str = Field(min_length=1, max_length=200)
    team: str | None = Field(default=None, min_length=1, max_length=200)
