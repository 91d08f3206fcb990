"""What may be asked about the environments of engines."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mozhu.specs.base import Spec


class InstallSpec(Spec):
    """The environment of an engine, made or taken over."""

    verb: ClassVar[str] = "engines.install"
    path_fields: ClassVar[tuple[str, ...]] = ("root", "use", "wheelhouse")

    name: str = Field(min_length=1)
    root: str | None = None
    use: str | None = None
    wheelhouse: str | None = None
    torch_index: str | None = None
    again: bool = False


class ListEnginesSpec(Spec):
    """Every engine that has an environment of its own."""

    verb: ClassVar[str] = "engines.list"


class RemoveSpec(Spec):
    """An environment that goes."""

    verb: ClassVar[str] = "engines.remove"

    name: str = Field(min_length=1)
