"""Whether a list of files can be uploaded at all: every problem, in one pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mozhu.kernel.errors import BadName, BadUploadFiles
from mozhu.kernel.paths import check_name
from mozhu.kernel.texts import text
from mozhu.specs.uploads import NewFile

MOST_FILES = 10_000


def check_files(files: Sequence[NewFile]) -> None:
    """
    Raises:
        BadUploadFiles: UPLOAD-010 with every problem.
    """
    problems = list(_problems(files))
    if problems:
        raise BadUploadFiles(count=len(problems), problems="\n  ".join(problems))


def is_safe_path(path: str) -> bool:
    """A relative path, below its root on every system, without hidden names."""
    try:
        return all(check_name(part) for part in path.split("/"))
    except BadName:
        return False


def _problems(files: Sequence[NewFile]) -> Iterator[str]:
    if not files:
        yield text("uploads.problem.none")
    if len(files) > MOST_FILES:
        yield text("uploads.problem.many", count=len(files), most=MOST_FILES)
        return
    seen: dict[str, str] = {}
    for file in files:
        if not is_safe_path(file.path):
            yield text("uploads.problem.path", path=file.path)
        # Two names that differ in case only are one file on some systems.
        if file.path.casefold() in seen:
            yield text("uploads.problem.twice", path=file.path, other=seen[file.path.casefold()])
        seen.setdefault(file.path.casefold(), file.path)
    folders = {"/".join(path.split("/")[:depth]) for path in seen for depth in range(1, path.count("/") + 1)}
    for path in sorted(folders & set(seen)):
        yield text("uploads.problem.folder", path=seen[path])
