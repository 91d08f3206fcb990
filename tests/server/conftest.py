"""A service over a workspace of its own, in this process; and one as a process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "catalog"))

from registry_artefacts import write_adapter, write_run
from running import Running

from mozhu.app import compose
from mozhu.server.make import make_app
from mozhu.server.run import Service, config_of, listen
from mozhu.specs.service import ServiceSpec


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "0_configs").mkdir(parents=True)
    return root


@pytest.fixture
def start(workspace: Path) -> Iterator[Callable[..., Running]]:
    """Starts a service with these settings; it stops with the test."""
    running: list[tuple[Service, threading.Thread, httpx2.Client]] = []

    def begin(**settings: Any) -> Running:
        spec = ServiceSpec(port=0, grace_s=5, **settings)
        composition = compose(workspace, spec)
        app = make_app(composition)
        listening = listen(spec)
        service = Service(config_of(app, spec), app, drain_s=0.0, quiet_s=0.0)
        thread = threading.Thread(target=service.run, kwargs={"sockets": [listening]})
        thread.start()
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        headers = {"Authorization": f"Bearer {composition.token.token}", "Accept-Language": "en"}
        http = httpx2.Client(base_url=address, headers=headers, timeout=30)
        running.append((service, thread, http))
        return Running(address, composition, http)

    yield begin
    for service, thread, http in running:
        http.close()
        service.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the service did not stop"


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
