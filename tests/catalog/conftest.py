"""A workspace and its registry, on each of the two engines."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mozhu.platform.catalog.service import Registry

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> str:
    """Where the catalogue of the workspace is; a test for one engine only takes this fixture indirectly."""
    return str(request.param)


@pytest.fixture
def workspace(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Path:
    root = tmp_path / "workspace"
    (root / "0_configs").mkdir(parents=True)
    if engine == "postgres":
        monkeypatch.setenv("MOZHU_UP__DATABASE", request.getfixturevalue("postgres_url"))
    return root


@pytest.fixture
def registry(workspace: Path):  # type: ignore[no-untyped-def]
    with Registry(workspace) as opened:
        yield opened


@pytest.fixture
def files_of() -> Callable[[Path], dict[str, bytes]]:
    """The content of every file below a folder, to see that nothing changed."""

    def read(folder: Path) -> dict[str, bytes]:
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    return read
