"""Scratch workspaces as people have them: laid out from a clone, and from the wheel in an environment of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from scratch import Place, place_from_clone, place_from_wheel


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a test run, so that what an item needs is made once."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def clone(shared_folder: Path) -> Place:
    return place_from_clone(shared_folder / "contract-clone")


@pytest.fixture(scope="session")
def wheel(shared_folder: Path) -> Place:
    return place_from_wheel(shared_folder / "contract-wheel")
