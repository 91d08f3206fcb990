"""A service over a workspace of its own, in this process; and one as a process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "catalog"))

from registry_artefacts import write_adapter, write_run
from running import Running, running


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "0_configs").mkdir(parents=True)
    return root


def stock(service: Running, folder: Path) -> Running:
    """``service`` with a model of two versions and another with one."""
    registry = service.composition.registry
    registry.register(write_run(folder / "run"), name="medical", task="medical_qa", tags=("医疗", "zh"))
    registry.register(write_adapter(folder / "second", seed=1), name="medical", description="第二版")
    registry.register(write_adapter(folder / "third", seed=2), name="shop")
    return service


@pytest.fixture
def start(workspace: Path) -> Iterator[Callable[..., Running]]:
    """Starts a service with these settings; it stops with the test."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(workspace, **settings))


@pytest.fixture
def service(start: Callable[..., Running]) -> Running:
    return start()


@pytest.fixture
def stocked(service: Running, tmp_path: Path) -> Running:
    """A service with a model of two versions and another with one."""
    return stock(service, tmp_path)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same for all tests of a file, which leave it as it is."""
    root = tmp_path_factory.mktemp("shared")
    (root / "0_configs").mkdir()
    with running(root) as service:
        yield stock(service, root)
