"""What may be asked of the registry."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mozhu.specs.base import RemoteSpec, Spec, Words


class ListSpec(RemoteSpec):
    """Every model; ``search`` is a part of a name, task, tag, base or description."""

    verb: ClassVar[str] = "registry.list"

    search: str | None = None
    trash: bool = False


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


class DeleteSpec(Spec):
    """A version, or a model with all its versions, into the trash."""

    verb: ClassVar[str] = "registry.delete"

    name: str = Field(min_length=1)
    force: str = ""


class RestoreSpec(Spec):
    """A version or a model out of the trash."""

    verb: ClassVar[str] = "registry.restore"

    name: str = Field(min_length=1)


class AliasSpec(Spec):
    """``name@alias`` is a version from now on; ``remove`` takes the alias away."""

    verb: ClassVar[str] = "registry.alias"

    name: str = Field(min_length=1)
    alias: str = Field(min_length=1)
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
