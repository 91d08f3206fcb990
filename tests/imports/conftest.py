"""Installations for imports."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "catalog"))

from importing import Installation, Make


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation for tests that each import models of names of their own."""
    made = Installation(tmp_path_factory.mktemp("imports"))
    yield made
    made.close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes an installation in a workspace of its own, again and again the same."""
    made: list[Installation] = []

    def begin(executor: object = None, **settings: object) -> Installation:
        made.append(Installation(tmp_path / "workspace", executor, **settings))
        return made[-1]

    yield begin
    for each in made:
        each.close()
