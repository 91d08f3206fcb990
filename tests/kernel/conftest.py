"""The kernel alone: no workspace, no language of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mozhu.kernel.texts import set_language


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("MOZHU_WORKSPACE", "MOZHU_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield
    set_language(None)
