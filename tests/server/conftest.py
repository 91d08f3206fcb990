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
    registry = service.composition.registry
    registry.register(write_run(tmp_path / "run"), name="medical", task="medical_qa", tags=("医疗", "zh"))
    registry.register(write_adapter(tmp_path / "second", seed=1), name="medical", description="第二版")
    registry.register(write_adapter(tmp_path / "third", seed=2), name="shop")
    return service
