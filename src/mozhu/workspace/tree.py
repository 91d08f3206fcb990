"""Lay out a workspace: the eight numbered folders, the thin scripts, the trees of seeds 000 and 002."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mozhu import __version__
from mozhu.kernel.files import make_folder, write_bytes
from mozhu.kernel.paths import MODEL_TREE, NUMBERED, Workspace

# What a workspace is made of, relative to the repository's root; the wheel carries the same files.
CONTENTS = (*NUMBERED, "finetune", "LLM", "requirements.txt")
_PACKAGED = Path(__file__).resolve().parent / "tree"
_REPOSITORY = Path(__file__).resolve().parents[3]
_LEFT_OUT = {"__pycache__", ".DS_Store", "catalog.db"}
_REQUIREMENTS = f"mozhu[train,export]=={__version__}\n".encode()
_IGNORED_BY_GIT = """# Model weights and the catalogue do not belong into Git (seed 000).
*
!.gitignore
!README.md
!*.py
"""


@dataclass(frozen=True)
class LaidOut:
    """Paths relative to the workspace: written now, and kept because they were there with other content."""

    root: Path
    written: tuple[str, ...]
    kept: tuple[str, ...]


def lay_out(root: Path) -> LaidOut:
    """Make ``root`` a workspace; what is there already is never changed.

    Raises:
        NotWritable: FILE-002. DiskFull: FILE-003.
    """
    written, kept = [], []
    for name, source in _files():
        target = root / name
        content = _REQUIREMENTS if name == "requirements.txt" and root != _REPOSITORY else source.read_bytes()
        if not target.exists():
            write_bytes(target, content)
            written.append(name)
        elif target.read_bytes() != content:
            kept.append(name)
    return LaidOut(root, (*written, *make_runtime_folders(Workspace(root))), tuple(kept))


def missing_files(root: Path) -> list[str]:
    """What :func:`lay_out` would write into ``root``, relative to it."""
    return [name for name, _ in _files() if not (root / name).exists()]


def make_runtime_folders(workspace: Workspace) -> list[str]:
    """The folders that hold what people make, the log that seed 002 prints, and the rule that keeps weights out of
    Git; returns what was missing.
    """
    made = []
    for name in [*NUMBERED, *(f"5_models/{branch}" for branch in MODEL_TREE)]:
        if not (workspace.root / name).is_dir():
            make_folder(workspace.root / name)
            made.append(f"{name}/")
    log = workspace.training_log
    if not log.exists():
        write_bytes(log, b"")
        made.append(str(log.relative_to(workspace.root)))
    rule = workspace.models / ".gitignore"
    if not rule.exists():
        write_bytes(rule, _IGNORED_BY_GIT.encode("utf-8"))
        made.append("5_models/.gitignore")
    return made


def files_root() -> Path:
    """Where the workspace's files lie: inside the installed package, else the repository's root."""
    return _PACKAGED if _PACKAGED.is_dir() else _REPOSITORY


def _files() -> Iterator[tuple[str, Path]]:
    root = files_root()
    for name in CONTENTS:
        place = root / name
        found = sorted(place.rglob("*")) if place.is_dir() else [place]
        for path in found:
            relative = path.relative_to(root)
            if path.is_file() and not _LEFT_OUT & set(relative.parts) and _is_shipped(relative):
                yield relative.as_posix(), path


def _is_shipped(relative: Path) -> bool:
    """What people made in the repository's own workspace is not part of a new one."""
    top, *rest = relative.parts
    if top in {"5_models", "6_output"}:
        return len(rest) == 1 and (rest[0] == "README.md" or rest[0].endswith(".py"))
    return True
