"""Registry references (``name:v2``, ``name@latest``) in a request, turned into the folders they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from mozhu.kernel import slots
from mozhu.kernel.paths import Workspace
from mozhu.specs.base import Spec
from mozhu.workspace.places import RESERVED

S = TypeVar("S", bound=Spec)
_FIELDS = ("model", "checkpoint", "base_model", "adapter")


def with_references(spec: S, workspace: Workspace) -> S:
    """``spec`` with every registered model named in it as its folder.

    Raises:
        UnknownReference: REG-001. VersionFailed: REG-011.
    """
    if not (workspace.models / "catalog.db").is_file():
        return spec
    changed: dict[str, str] = {}
    for name in _FIELDS:
        value = getattr(spec, name, None)
        if isinstance(value, str) and value not in RESERVED and not Path(value).expanduser().exists():
            found = slots.load("mozhu.rooms", "find_reference")(workspace.root, value)
            if found is not None:
                changed[name] = str(found)
    return spec.model_copy(update=changed)
