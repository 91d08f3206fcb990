"""Registry references (``name:v2``, ``name@latest``) in a request, turned into the folders they mean.

In a field that takes a model they mean models, in one that takes data they mean data sets; the two may bear the
same name.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from mozhu.kernel import slots
from mozhu.kernel.paths import Workspace
from mozhu.specs.base import Spec
from mozhu.specs.records.dataset import SNAPSHOT
from mozhu.specs.records.snapshot import Snapshot
from mozhu.specs.settings import model_settings
from mozhu.specs.train import TrainSpec
from mozhu.workspace.places import RESERVED

S = TypeVar("S", bound=Spec)
_MODEL_FIELDS = ("model", "checkpoint", "base_model", "adapter", "other", "source")
_DATA_FIELDS = ("dataset", "val_dataset", "test_data", "train_data", "input", "data")
# Verbs whose field of several paths takes models.
_MODEL_LISTS = {"merge": ("more_adapters",), "adapters.combine": ("adapters",)}
# Verbs whose field of several paths takes data sets.
_DATA_LISTS = {"data.check": ("against",), "data.prepare": ("against",)}


def with_references(spec: S, workspace: Workspace) -> S:
    """``spec`` with every registered model and data set named in it as its folder.

    A run that trains on a registered data set and names no other rows for validation takes those of the data
    set's own validation part.

    Raises:
        UnknownReference: REG-001. VersionFailed: REG-011. UnknownDatasetVersion: REG-013. DatasetFailed: REG-014.
    """
    if not (workspace.models / "catalog.db").is_file():
        return spec
    changed: dict[str, Any] = {}
    for name in _MODEL_FIELDS:
        found = _found("find_reference", getattr(spec, name, None), workspace)
        if found is not None:
            changed[name] = found
    for name in _DATA_FIELDS:
        found = _found_data(getattr(spec, name, None), workspace)
        if found is not None:
            changed[name] = found
    for name in _MODEL_LISTS.get(spec.verb, ()):
        changed[name] = tuple(
            _found("find_reference", value, workspace) or value for value in getattr(spec, name)
        )
    for name in _DATA_LISTS.get(spec.verb, ()):
        values = getattr(spec, name)
        changed[name] = tuple(_found_data(value, workspace) or value for value in values)
    if isinstance(spec, TrainSpec) and "dataset" in changed:
        changed.update(_own_validation(spec, changed["dataset"]))
    return spec.model_copy(update=changed)


def _found_data(value: Any, workspace: Workspace) -> str | None:
    """The folder of a registered data set; a name of the workspace's settings means what they say."""
    if isinstance(value, str) and value in model_settings().datasets:
        return None
    return _found("find_dataset", value, workspace)


def _found(finder: str, value: Any, workspace: Workspace) -> str | None:
    if not isinstance(value, str) or value in RESERVED or Path(value).expanduser().exists():
        return None
    found = slots.load("mozhu.rooms", finder)(workspace.root, value)
    return None if found is None else str(found)


def _own_validation(spec: TrainSpec, folder: str) -> dict[str, str]:
    if spec.val_dataset is not None or spec.validation_split == 0 or not Path(folder).is_dir():
        return {}
    part = Snapshot.read(Path(folder) / SNAPSHOT).parts.get("validation")
    return {"val_dataset": folder} if part is not None and part.rows else {}
