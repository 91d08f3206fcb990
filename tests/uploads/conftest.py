"""Uploads over a database and a store of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sending import Installation

from mozhu.platform.storage.addresses import open_store


@pytest.fixture(params=["local", "s3"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """On a folder and on a real S3."""
    address = None if request.param == "local" else f"s3://{request.getfixturevalue('s3_bucket')}/team"
    with Installation(tmp_path, open_store(address, tmp_path)) as made:
        yield made


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Installation]:
    with Installation(tmp_path, open_store(None, tmp_path)) as made:
        yield made
