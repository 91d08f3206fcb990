"""Certificates compare logits and take seconds: tests of other promises do without, ``test_certified.py``
does not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mozhu.engine.export import certify

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def no_certifier(request, monkeypatch):
    """Without a certifier in the slot, except in tests marked ``certified`` or that register their own."""
    if "certified" not in request.fixturenames:
        monkeypatch.setattr(certify, "ROOMS", "mozhu.rooms_of_this_test")


@pytest.fixture(autouse=True)
def own_workspace(monkeypatch, tmp_path_factory):
    """Away from the repository, which is a workspace itself."""
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path_factory.mktemp("workspace")))


@pytest.fixture
def certified() -> None:
    """Asks for the built-in certifiers."""
