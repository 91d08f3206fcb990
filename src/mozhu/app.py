"""The composition root: settings in, the services of one installation out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.paths import Workspace
from mozhu.platform.accounts.local_token import LocalToken, local_token
from mozhu.platform.catalog.datasets.service import Datasets
from mozhu.platform.catalog.service import Registry
from mozhu.specs.service import ServiceSpec


@dataclass(frozen=True)
class Composition:
    """Every service of one workspace, made once a process and shared by its threads."""

    workspace: Workspace
    settings: ServiceSpec
    token: LocalToken
    registry: Registry
    datasets: Datasets

    def close(self) -> None:
        self.registry.close()
        self.datasets.close()


def compose(root: Path, settings: ServiceSpec) -> Composition:
    """The services of the workspace ``root``, with its database made where it is missing."""
    workspace = Workspace(Path(root).absolute())
    return Composition(
        workspace=workspace,
        settings=settings,
        token=local_token(workspace.models),
        registry=Registry(workspace.root),
        datasets=Datasets(workspace.root),
    )


@contextmanager
def composed(root: Path, settings: ServiceSpec) -> Iterator[Composition]:
    composition = compose(root, settings)
    try:
        yield composition
    finally:
        composition.close()
