"""Make an engine's environment: torch first, then the engine within its pins. Mozhu's own is never touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mozhu.kernel.errors import (
    EngineBusy,
    EngineIncomplete,
    EngineInstallFailed,
    EngineInstallOffline,
    EngineNeedsRoom,
    MissingFile,
)
from mozhu.kernel.files import free_bytes, human_size, make_folder, writing
from mozhu.kernel.machine import gpus
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.specs.engines import InstallSpec
from mozhu.workspace.environments.recipes import Recipe, find_recipe
from mozhu.workspace.environments.record import (
    Environment,
    engines_home,
    find_environment,
    python_of,
    remove_record,
    write_record,
)

LOG = "install.log"
_LAST_LINES = 12
# What pip says when it reached nobody.
_OFFLINE = (
    "newconnectionerror",
    "connecttimeouterror",
    "failed to establish a new connection",
    "name resolution",
    "network is unreachable",
    "proxyerror",
    "connection refused",
    "read timed out",
)
_FACTS = """
import importlib, importlib.metadata as m, json, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import torch
print("MOZHU" + json.dumps({
    "versions": {d.metadata["Name"]: d.version for d in m.distributions() if d.metadata["Name"]},
    "cuda": torch.version.cuda,
}))
"""

Said = Callable[[str, int, int], None]


def install_engine(spec: InstallSpec, said: Said = lambda line, step, steps: None) -> Environment:
    """The environment of engine ``spec.name``, made now or found whole.

    Stopped or failed, it goes on from the step that was under way; what pip had downloaded is not fetched again.

    Args:
        said: Called with each line of pip, the number of the step and how many there are.

    Raises:
        UnknownEngine: ENV-020. EngineInstallOffline: ENV-021. EngineInstallFailed: ENV-022. EngineIncomplete:
        ENV-023. EngineBusy: ENV-024. EngineNeedsRoom: ENV-025. NotWritable: FILE-002. MissingFile: FILE-001.
    """
    recipe = find_recipe(spec.name)
    if spec.use is not None:
        return adopt(recipe, Path(spec.use).expanduser().absolute())
    if spec.wheelhouse is not None and not Path(spec.wheelhouse).expanduser().is_dir():
        raise MissingFile(path=spec.wheelhouse)
    folder = target_folder(spec)
    with _alone(recipe.name):
        found = find_environment(recipe.name)
        if found is not None and Path(found.path) == folder and not spec.again:
            return found
        if spec.again:
            _remove(folder)
        _check_room(recipe, folder)
        _make(folder)
        for number, packages in enumerate(recipe.steps, start=1):
            told = partial(_told, said, number, len(recipe.steps))
            command = [str(python_of(folder)), *pip_command(spec, recipe, packages)]
            _call(command, folder, recipe.name, told)
        environment = described(recipe, folder, owned=True)
        write_record(environment)
        return environment


def adopt(recipe: Recipe, folder: Path) -> Environment:
    """Use an environment that someone else made; it is looked at and never changed.

    Raises:
        MissingFile: FILE-001. EngineIncomplete: ENV-023.
    """
    if not python_of(folder).is_file():
        raise MissingFile(path=str(python_of(folder)))
    with _alone(recipe.name):
        environment = described(recipe, folder, owned=False)
        write_record(environment)
        return environment


def remove_engine(name: str) -> Environment | None:
    """Remove the environment of engine ``name``, half-made or whole; one that was adopted is only forgotten.

    Raises:
        UnknownEngine: ENV-020. EngineBusy: ENV-024.
    """
    recipe = find_recipe(name)
    with _alone(recipe.name):
        found = find_environment(name)
        remove_record(name)
        if found is None or found.owned:
            _remove(Path(found.path) if found else engines_home() / name)
        return found


def is_half_made(name: str) -> bool:
    """Whether an installation was begun in the usual place and not finished."""
    return find_environment(name) is None and (engines_home() / name).is_dir()


def target_folder(spec: InstallSpec) -> Path:
    root = Path(spec.root).expanduser().absolute() if spec.root else engines_home()
    return root / spec.name


def pip_command(spec: InstallSpec, recipe: Recipe, packages: Sequence[str]) -> list[str]:
    """What is typed after the environment's own ``python``."""
    words = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    words += ["--retries", "3", "--constraint", str(recipe.constraints)]
    if spec.wheelhouse is not None:
        words += ["--no-index", "--find-links", str(Path(spec.wheelhouse).expanduser().absolute())]
    elif spec.torch_index is not None and tuple(packages) == ("torch",):
        words += ["--index-url", spec.torch_index]
    pins = recipe.pins()
    return [*words, *(f"{package}=={pins[package]}" for package in packages)]


def described(recipe: Recipe, folder: Path, *, owned: bool) -> Environment:
    """What is in ``folder``, after everything that the engine needs was imported once there.

    Raises:
        EngineIncomplete: ENV-023 with the last lines of what went wrong.
    """
    command = [str(python_of(folder)), "-I", "-c", _FACTS, *recipe.modules]
    result = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    line = next((each for each in result.stdout.splitlines() if each.startswith("MOZHU{")), None)
    if result.returncode or line is None:
        tail = "\n".join((result.stderr or result.stdout).strip().splitlines()[-3:])
        raise EngineIncomplete(engine=recipe.name, path=str(folder), tail=tail)
    facts: dict[str, Any] = json.loads(line[len("MOZHU") :])
    return Environment(
        name=recipe.name,
        path=str(folder),
        versions=dict(sorted(facts["versions"].items())),
        cuda=facts["cuda"],
        owned=owned,
        created=iso_time(utc_now()),
    )


def clean_environment(**more: str) -> dict[str, str]:
    """This process's variables without those that would bring our own packages into another environment."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    kept.pop("VIRTUAL_ENV", None)
    return {**kept, "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **more}


def _make(folder: Path) -> None:
    """An empty environment with pip, unless there is one."""
    if not python_of(folder).is_file():
        make_folder(folder.parent)
        # Of the interpreter itself: an environment made inside another would depend on it.
        base = getattr(sys, "_base_executable", None) or sys.executable
        _call([str(base), "-I", "-m", "venv", "--clear", str(folder)], folder, "venv", lambda line: None)
    _call([str(python_of(folder)), "-m", "ensurepip", "--upgrade"], folder, "ensurepip", lambda line: None)


def _told(said: Said, step: int, steps: int, line: str) -> None:
    said(line, step, steps)


def _call(command: list[str], folder: Path, engine: str, said: Callable[[str], None]) -> None:
    """Run ``command``, its output to ``install.log`` beside the environment and line by line to ``said``."""
    last: deque[str] = deque(maxlen=_LAST_LINES)
    log = folder.parent / f"{folder.name}-{LOG}"
    with writing(log), open(log, "a", encoding="utf-8") as file:
        file.write(f"$ {' '.join(command)}\n")
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=clean_environment(),
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                last.append(line.rstrip())
                said(line.rstrip())
            code = process.wait()
        except BaseException:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            raise
    if code:
        raise _failure(list(last), engine, log)


def _failure(last: list[str], engine: str, log: Path) -> EngineInstallOffline | EngineInstallFailed:
    said = log.read_text(encoding="utf-8", errors="replace").lower().rpartition("\n$ ")[2]  # of this command
    errors = [line for line in last if line.startswith("ERROR")] or last[-3:]
    unreached = [line for line in said.splitlines() if any(sign in line for sign in _OFFLINE)]
    if unreached:  # pip itself then speaks of versions in conflict: it saw none
        return EngineInstallOffline(engine=engine, reason=unreached[-1].strip(), log=str(log))
    return EngineInstallFailed(engine=engine, reason="\n".join(errors), log=str(log))


def _check_room(recipe: Recipe, folder: Path) -> None:
    """Room for what is not there yet.

    Raises:
        EngineNeedsRoom: ENV-025.
    """
    need = recipe.disk_bytes + (recipe.cuda_bytes if gpus() else 0)
    free = free_bytes(folder)
    if not python_of(folder).is_file() and 0 < free < need:
        raise EngineNeedsRoom(
            engine=recipe.name, path=str(folder), need=human_size(need), free=human_size(free)
        )


def _remove(folder: Path) -> None:
    """Only what is an environment, or nothing, is ever removed."""
    if folder.is_dir() and ((folder / "pyvenv.cfg").is_file() or not any(folder.iterdir())):
        with writing(folder):
            shutil.rmtree(folder)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """One process at a time makes or removes an environment.

    Raises:
        EngineBusy: ENV-024.
    """
    lock = FileLock(make_folder(engines_home()) / f".{name}.lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise EngineBusy(engine=name) from error
