"""A workspace in which commands are typed as printed, and what came of each."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock

from mozhu.workspace.tree import CONTENTS

REPOSITORY = Path(__file__).resolve().parents[2]
_TIME_LIMIT_S = 570
# Rewritten by every start of Python or of a run; of no meaning to a user.
_PASSING = {"__pycache__", ".lock", ".matplotlib"}


_GUARD = """import socket, sys


def _hook(name, arguments):
    if name == "socket.getaddrinfo" or (name == "socket.connect" and arguments[0].family != socket.AF_UNIX):
        with open({note!r}, "a", encoding="utf-8") as file:
            file.write(f"{{name}} {{arguments[1:] if name == 'socket.connect' else arguments[:2]}}\\n")


sys.addaudithook(_hook)
"""


@dataclass(frozen=True)
class Done:
    """``changed`` are the files written or removed, relative to the workspace."""

    code: int
    out: str
    err: str
    changed: list[str] = field(default_factory=list)

    @property
    def said(self) -> str:
        return self.out + self.err


@dataclass(frozen=True)
class Place:
    """``root`` is a laid-out workspace; ``python`` on its ``PATH`` has Mozhu as this kind of user has it."""

    kind: str
    root: Path
    programs: Path

    @property
    def starter(self) -> Path:
        """The starter model's folder, as this place's own Mozhu knows it."""
        return Path(self.once("starter folder", self._ask_starter).out.strip())

    def _ask_starter(self) -> Done:
        return self.run("python -c 'from mozhu.testing import starter_path; print(starter_path())'")

    def path(self, name: str) -> Path:
        return self.root / name

    def write(self, name: str, content: str) -> Path:
        path = self.root / name
        path.write_text(content, encoding="utf-8")
        return path

    def environment(self) -> dict[str, str]:
        """Nothing of the test's own environment but what any shell has."""
        kept = {name: os.environ[name] for name in ("TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
        path = os.pathsep.join([str(self.programs), "/usr/local/bin", "/usr/bin", "/bin"])
        self.home.mkdir(exist_ok=True)
        return {**kept, "PATH": path, "HOME": str(self.home), "LC_ALL": "C.UTF-8", "MOZHU_LANG": "en"}

    @property
    def home(self) -> Path:
        return self.root.parent / "home"

    def run(self, command: str, *, folder: str = ".", stdin: str = "", watched: bool = False) -> Done:
        """Type ``command`` into bash. ``watched``: what Python asks of the network is noted in ``network.txt`` beside
        the workspace, and where the system allows it there is no network at all.
        """
        before = self._files()
        environment = self.environment()
        without = ["unshare", "-rn"] if watched and _has_namespaces() else []
        if watched:
            environment["PYTHONPATH"] = str(self._guard())
        answer = subprocess.run(
            [*without, "bash", "-c", command],
            cwd=self.root / folder,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=_TIME_LIMIT_S,
        )
        after = self._files()
        changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        return Done(answer.returncode, answer.stdout, answer.stderr, changed)

    def _guard(self) -> Path:
        """A folder whose ``sitecustomize`` notes every address that Python looks up or connects to."""
        folder = self.root.parent / "guard"
        folder.mkdir(exist_ok=True)
        note = self.root.parent / "network.txt"
        note.write_text("", encoding="utf-8")
        (folder / "sitecustomize.py").write_text(_GUARD.format(note=str(note)), encoding="utf-8")
        return folder

    def once(self, name: str, act: Callable[[], Done]) -> Done:
        """What ``act`` gave when it was first done in this place, by any worker of the test run."""
        record = self.root.parent / f"{self.kind}-{name.replace('/', '-').replace(' ', '-')}.json"
        with FileLock(self.root.parent / f"{self.kind}.lock", is_singleton=True):
            if not record.exists():
                record.write_text(json.dumps(asdict(act())), encoding="utf-8")
        return Done(**json.loads(record.read_text(encoding="utf-8")))

    def _files(self) -> dict[str, tuple[int, int]]:
        found = {}
        for path in self.root.rglob("*"):
            if path.is_file() and not _PASSING & set(path.relative_to(self.root).parts):
                state = path.stat()
                found[path.relative_to(self.root).as_posix()] = (state.st_size, state.st_mtime_ns)
        return found


def _has_namespaces() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    )


def place_from_clone(folder: Path) -> Place:
    """The repository's own workspace files, and the interpreter of the tests."""

    def lay_out(place: Place) -> None:
        for name in _tracked_files():
            target = place.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, target)
        python = place.programs / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        # as `make install` does
        subprocess.run(
            [sys.executable, "-m", "mozhu", "init", str(place.root)], check=True, capture_output=True
        )

    return _made_once(Place("clone", folder / "workspace", folder / "bin"), lay_out)


def place_from_wheel(folder: Path) -> Place:
    """A workspace that ``mozhu init`` of the wheel laid out, in an environment where Mozhu is the wheel."""

    def lay_out(place: Place) -> None:
        wheel = build_wheel(folder / "dist")
        environment = place.programs.parent
        venv.create(environment, symlinks=True)
        python = place.programs / "python"
        libraries = subprocess.run(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        # The libraries of the tests' environment; its .pth files (an editable Mozhu) do not count from here.
        found = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), *site.getsitepackages()}
        (Path(libraries) / "libraries.pth").write_text("\n".join(sorted(found)) + "\n", encoding="utf-8")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(python),
            "install",
            "--quiet",
            "--no-deps",
            "--no-index",
        ]
        # Its version is also that of the editable Mozhu among the libraries: without --force pip would leave it out.
        subprocess.run([*pip, "--force-reinstall", "--ignore-installed", str(wheel)], check=True)
        subprocess.run([place.programs / "mozhu", "init", str(place.root)], check=True, capture_output=True)

    return _made_once(Place("wheel", folder / "workspace", folder / "environment" / "bin"), lay_out)


def build_wheel(folder: Path) -> Path:
    """The wheel of this repository, built offline with the tools that are here."""
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(folder),
        str(REPOSITORY),
    ]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return next(folder.glob("mozhu-*.whl"))


def _made_once(place: Place, lay_out: Callable[[Place], None]) -> Place:
    place.programs.mkdir(parents=True, exist_ok=True)
    place.root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.root.parent / "made.lock"):
        if not (place.root.parent / "made").exists():
            place.root.mkdir(exist_ok=True)
            lay_out(place)
            (place.root.parent / "made").touch()
    return place


def _tracked_files() -> list[str]:
    """What a clone would hold of the workspace: tracked files and new ones that git does not ignore."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-co", "--exclude-standard", "--", *CONTENTS]
    answer = subprocess.run(command, capture_output=True, text=True)
    names = answer.stdout.splitlines() if answer.returncode == 0 else _all_files()
    return [name for name in names if (REPOSITORY / name).is_file()]


def _all_files() -> list[str]:
    """Without git (a source archive): every file of the workspace's folders that is not a product."""
    places = [REPOSITORY / name for name in CONTENTS if name not in {"5_models", "6_output"}]
    found = [path for place in places for path in ([place] if place.is_file() else place.rglob("*"))]
    found += [*(REPOSITORY / "5_models").glob("*.py"), *REPOSITORY.glob("[56]_*/README.md")]
    return [path.relative_to(REPOSITORY).as_posix() for path in found if "__pycache__" not in path.parts]
