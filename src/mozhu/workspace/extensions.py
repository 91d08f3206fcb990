"""A workspace's own code: every ``2_core/*.py`` is imported, and puts what it has into slots."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType

from mozhu.kernel.errors import ExtensionBroken
from mozhu.kernel.paths import Workspace
from mozhu.kernel.texts import text

FOLDER = "2_core"
_TOOLBOX = "1_utils"


def load_extensions(workspace: Workspace) -> list[str]:
    """Import each ``2_core/*.py`` whose name does not begin with ``_``, by name; returns these names.

    A file is imported once a process, under a private module name, so it hides no library of the same name;
    it can import the ``1_utils`` by their flat names. Files after a broken one are imported too.

    Raises:
        ExtensionBroken: CORE-001 listing every broken file with the line in it, and the reason.
    """
    found = extension_files(workspace)
    if found:
        _add_toolbox(workspace)
    problems = [problem for path in found if (problem := _load(path))]
    if problems:
        raise ExtensionBroken(count=len(problems), problems="\n  ".join(problems))
    return [path.stem for path in found]


def extension_files(workspace: Workspace) -> list[Path]:
    folder = workspace.root.absolute() / FOLDER
    return sorted(path for path in folder.glob("*.py") if path.is_file() and not path.name.startswith("_"))


def module_name(path: Path) -> str:
    """The private name of an extension; the same file in two workspaces has two."""
    place = hashlib.sha256(str(path.parent).encode("utf-8")).hexdigest()[:12]
    return f"_mozhu_extension_{place}_{path.stem}"


def _load(path: Path) -> str | None:
    """Import ``path`` unless that was done; the problem in one line, None where there is none."""
    name = module_name(path)
    if name in sys.modules:
        return None
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        return _problem(path, 1, "ImportError")
    module: ModuleType = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data classes and pickling look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        return _problem(path, _line(path, error), _reason(error))
    return None


def _problem(path: Path, line: int, reason: str) -> str:
    return text("core.problem", path=path, line=line, reason=reason)


def _line(path: Path, error: BaseException) -> int:
    """The line of ``path`` that failed: of its own syntax, else the innermost frame that lies in it."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 1
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path) and frame.lineno]
    return lines[-1] if lines else 1


def _reason(error: BaseException) -> str:
    """Kind and first line of the message."""
    words = error.msg if isinstance(error, SyntaxError) else str(error)
    first = words.splitlines()[0] if words else ""
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _add_toolbox(workspace: Workspace) -> None:
    """The toolbox last on the path: what is installed comes first, so nothing of it is hidden."""
    folder = str(workspace.root.absolute() / _TOOLBOX)
    if Path(folder).is_dir() and folder not in sys.path:
        sys.path.append(folder)
