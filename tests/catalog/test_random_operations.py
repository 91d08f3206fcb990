"""Whatever is done and wherever it is killed, disk and database are equal at the end and a check finds nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from random_operations import Work

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a fork of itself")


def work(root: Path, sources: Path, seed: int, count: int) -> Work:
    made = Work(root, sources, seed)
    try:
        made.run(count)
        made.check_everything()
    finally:
        made.close()
    return made


def test_random_operations_leave_disk_and_database_equal(workspace: Path, tmp_path: Path) -> None:
    work(workspace, tmp_path / "sources", seed=1, count=50)


@pytest.mark.slow
def test_a_thousand_random_operations_leave_disk_and_database_equal(workspace: Path, tmp_path: Path) -> None:
    done = work(workspace, tmp_path / "sources", seed=2, count=1000)
    assert done.killed >= 20, "some of it is killed in the middle"
