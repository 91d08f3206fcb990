"""Which engine environments are here: one record each, written last, so that half an installation counts as none."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json, write_json, writing

_HOME = "MOZHU_ENGINES"
_SCHEMA = 1


@dataclass(frozen=True)
class Environment:
    """A whole environment. ``versions`` are of its packages; ``owned``: we made its folder and may remove it.

    ``cuda``: the CUDA version that its torch is built for, ``None`` for a torch that computes on CPUs only.
    """

    name: str
    path: str
    versions: dict[str, str] = field(default_factory=dict)
    cuda: str | None = None
    owned: bool = True
    created: str = ""

    @property
    def python(self) -> Path:
        return python_of(Path(self.path))

    def script(self, name: str) -> Path:
        """The command ``name`` that its packages brought."""
        return self.python.parent / (f"{name}.exe" if os.name == "nt" else name)

    def version(self, package: str) -> str:
        """The version of ``package``, empty where there is none; names are compared as package indexes do."""
        wanted = _plain(package)
        return next((value for name, value in self.versions.items() if _plain(name) == wanted), "")


def engines_home() -> Path:
    """Where records lie, and environments unless ``--root`` says otherwise: ``MOZHU_ENGINES``, else the user's data."""
    named = os.environ.get(_HOME)
    if named:
        return Path(named).expanduser().absolute()
    if os.name == "nt":
        data = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        data = str(Path.home() / "Library" / "Application Support")
    else:
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(data) / "mozhu" / "engines"


def record_path(name: str) -> Path:
    return engines_home() / f"{name}.json"


def find_environment(name: str) -> Environment | None:
    """The environment of engine ``name``; ``None`` when there is none, or its Python is gone."""
    try:
        value: dict[str, Any] = read_json(record_path(name))
        known = {key: value[key] for key in Environment.__dataclass_fields__ if key in value}
        found = Environment(**known)
    except (MozhuError, TypeError, KeyError, AttributeError):
        return None
    return found if found.python.is_file() else None


def write_record(environment: Environment) -> None:
    write_json(record_path(environment.name), {"schema": _SCHEMA, **asdict(environment)})


def remove_record(name: str) -> None:
    with writing(record_path(name)):
        record_path(name).unlink(missing_ok=True)


def python_of(folder: Path) -> Path:
    """The interpreter of the virtual environment ``folder``."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _plain(package: str) -> str:
    return package.lower().replace("_", "-").replace(".", "-")
