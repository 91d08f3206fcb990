"""Paths of a request made absolute, so that a run can be repeated from any folder."""

from __future__ import annotations

import glob
import re
from pathlib import Path
from typing import TypeVar

from mozhu.kernel.errors import BadName
from mozhu.kernel.paths import Workspace, check_name, finetuned_name
from mozhu.kernel.progress import utc_now
from mozhu.specs.base import Spec
from mozhu.specs.records.dataset import dataset_registration
from mozhu.specs.train import TrainSpec

S = TypeVar("S", bound=Spec)
# Names that are always there; a folder of the same name is meant only when written with a slash.
RESERVED = frozenset({"starter", "sample"})
_ROWS = re.compile(r"#\d+$")
_WRITTEN = frozenset({"output_dir", "output", "output_path", "merge_output"})


def with_absolute_paths(spec: S, folder: Path | None = None) -> S:
    """``spec`` with every path field that names something here (or will be written) as an absolute path."""
    here = folder or Path.cwd()
    changed: dict[str, str | tuple[str, ...]] = {}
    for name in spec.path_fields:
        value = getattr(spec, name, None)
        if isinstance(value, str):
            changed[name] = _absolute(value, here, written=name in _WRITTEN)
        elif isinstance(value, tuple):
            changed[name] = tuple(_absolute(one, here, written=False) for one in value)
    return spec.model_copy(update=changed)


def _absolute(value: str, here: Path, *, written: bool) -> str:
    path = here / Path(value).expanduser()
    return str(path) if value not in RESERVED and (written or _names_something(path)) else value


def _names_something(path: Path) -> bool:
    """Whether ``path`` is there, also as a pattern, or with ``:subset`` and ``#rows`` of a data set after it."""
    written = _ROWS.sub("", str(path))
    without = written.rpartition(":")[0]
    if path.exists() or Path(written).exists() or (without and Path(without).exists()):
        return True
    return glob.has_magic(written) and any(glob.iglob(written, recursive=True))


def check_dataset_name(name: str) -> str:
    """``name``, when a data set or a version of one can bear it: no sign of a reference is in it.

    Raises:
        BadName: FILE-008.
    """
    if name in RESERVED or set("@#:") & set(name):
        raise BadName(name=name)
    return check_name(name)


def training_folder(spec: TrainSpec, workspace: Workspace) -> Path:
    """The run folder: ``output_dir``, else ``6_output/`` + the run's name or seed 000's naming rule."""
    return node_folder(_training_folder(spec, workspace), spec.node_rank)


def node_folder(folder: Path, node_rank: int) -> Path:
    """The run folder of one of several machines: they may see the same disk, and a run folder has one writer."""
    return folder.with_name(f"{folder.name}-node{node_rank}") if node_rank else folder


def _training_folder(spec: TrainSpec, workspace: Workspace) -> Path:
    if spec.output_dir:
        return Path(spec.output_dir)
    version = dataset_registration(spec.dataset)
    task = version.name if version is not None else spec.dataset
    name = spec.run_name or finetuned_name(spec.model, task, spec.train_type, utc_now())
    return workspace.output / name


def fresh_run_folder(spec: Spec, workspace: Workspace) -> Path:
    """A run folder that does not exist yet: ``6_output/<verb>-<date>-<time>``."""
    stem = f"{spec.verb.replace('.', '-')}-{utc_now():%Y%m%d-%H%M%S}"
    folder, number = workspace.output / stem, 1
    while folder.exists():
        number += 1
        folder = workspace.output / f"{stem}-{number}"
    return folder
