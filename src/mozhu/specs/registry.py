"""What may be asked of the registry."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import RemoteSpec, Spec, Words


class ListSpec(RemoteSpec):
    """A page of the models, last changed first; ``cursor`` is ``next`` of the page before, ``all`` takes every page."""

    verb: ClassVar[str] = "registry.list"

    search: str | None = Field(default=None, max_length=200)
    type: Literal["text", "image", "file"] | None = None
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


class RegisterSpec(Spec):
    """A model folder, an adapter, a GGUF file or a run as a new version. What is left out is read from it."""

    verb: ClassVar[str] = "registry.register"
    path_fields: ClassVar[tuple[str, ...]] = ("path",)

    path: str = Field(min_length=1)
    name: str | None = Field(default=None, min_length=1)
    version: str | None = Field(default=None, min_length=1)
    base_model: str | None = None
    task: str | None = None
    tags: Words = ()
    description: str | None = None
    model_type: Literal["lora", "qlora", "full", "multimodal", "pretrained"] | None = None
    copy_files: bool = False


class RegisterAnywhereSpec(RemoteSpec, RegisterSpec):
    """The same at a service, which gets the files."""


class ShowSpec(RemoteSpec):
    """One model; ``name`` is a registry reference."""

    verb: ClassVar[str] = "registry.show"

    name: str = Field(min_length=1)
    limit: int = Field(default=50, ge=1, le=200)


class ValidateSpec(RemoteSpec):
    """Whether a folder, a file or a registered version is whole."""

    verb: ClassVar[str] = "registry.validate"
    path_fields: ClassVar[tuple[str, ...]] = ("model_path",)

    model_path: str = Field(min_length=1)


class RescanSpec(RemoteSpec):
    """Rows anew from the sidecars."""

    verb: ClassVar[str] = "registry.rescan"


class LineageSpec(RemoteSpec):
    """Where a version, a row, a data set or a run came from, and what came from it."""

    verb: ClassVar[str] = "registry.lineage"

    name: str = Field(min_length=1, max_length=500)


class EditSpec(RemoteSpec):
    """What is given changes, all else stays; ``notes`` and ``tags`` are of a version, the newest one unless named."""

    verb: ClassVar[str] = "registry.edit"

    name: str = Field(min_length=1)
    description: str | None = Field(default=None, max_length=20_000)
    licence: str | None = Field(default=None, max_length=200)
    type: Literal["text", "image", "file"] | None = None
    visibility: Literal["private", "team", "everyone"] | None = None
    base_reference: str | None = Field(default=None, max_length=500)
    notes: str | None = Field(default=None, max_length=20_000)
    tags: Words | None = None

    def of_model(self) -> dict[str, Any]:
        """The fields of the model that are to change."""
        kept = {"name", "server", "notes", "tags"}
        return self.model_dump(exclude=kept, exclude_none=True)


class ShareSpec(RemoteSpec):
    """Who may do what with a model; without ``whom`` only told."""

    verb: ClassVar[str] = "registry.share"

    name: str = Field(min_length=1)
    whom: str | None = Field(default=None, min_length=1, max_length=210)
    right: Literal["read", "use", "write", "manage"] = "read"
    revoke: bool = False


class RateSpec(RemoteSpec):
    """What one thinks of a model; without ``stars`` only what all think."""

    verb: ClassVar[str] = "registry.rate"

    name: str = Field(min_length=1)
    stars: int | None = Field(default=None, ge=1, le=5)
    comment: str = Field(default="", max_length=2000)


class SuggestSpec(RemoteSpec):
    """What the naming rules say of a version, and how the next one would be called."""

    verb: ClassVar[str] = "registry.suggest"

    name: str = Field(min_length=1)


class CopySpec(RemoteSpec):
    """A model, or one version of it, under a new name as one's own."""

    verb: ClassVar[str] = "registry.copy"

    name: str = Field(min_length=1)
    to: str = Field(min_length=1, max_length=200)
    team: str | None = Field(default=None, min_length=1, max_length=200)


class ReportSpec(RemoteSpec):
    """The reports of a version; with ``run`` that of this run is one of them."""

    verb: ClassVar[str] = "registry.report"
    path_fields: ClassVar[tuple[str, ...]] = ("run",)

    name: str = Field(min_length=1)
    run: str | None = Field(default=None, min_length=1)


class DeleteSpec(RemoteSpec):
    """A version, or a model with all its versions, into the trash."""

    verb: ClassVar[str] = "registry.delete"

    name: str = Field(min_length=1)
    force: str = ""


class RestoreSpec(RemoteSpec):
    """A version or a model out of the trash."""

    verb: ClassVar[str] = "registry.restore"

    name: str = Field(min_length=1)


class AliasSpec(RemoteSpec):
    """``name@alias`` is a version from now on; ``remove`` takes the alias away, without one they are told."""

    verb: ClassVar[str] = "registry.alias"

    name: str = Field(min_length=1)
    alias: str | None = Field(default=None, min_length=1)
    protected: bool | None = None
    remove: bool = False
    force: bool = False


class GcSpec(Spec):
    """What has been in the trash for ``trash_days`` goes, and contents that nobody needs then.

    Those younger than ``grace_hours`` may be coming in and stay.
    """

    verb: ClassVar[str] = "registry.gc"

    grace_hours: float = Field(default=24.0, ge=0)
    trash_days: int = Field(default=30, ge=0)


class FsckSpec(Spec):
    """Every content is read and held against its hash, the rows and the versions."""

    verb: ClassVar[str] = "registry.fsck"

    repair: bool = False
    grace_hours: float = Field(default=24.0, ge=0)
