"""``mozhu engines install NAME``: the environment of an engine whose libraries cannot stand beside ours."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.kernel.files import human_size
from mozhu.kernel.machine import gpus
from mozhu.kernel.texts import text
from mozhu.specs.engines import InstallSpec
from mozhu.workspace.environments.install import install_engine, pip_command, target_folder
from mozhu.workspace.environments.recipes import Recipe, find_recipe
from mozhu.workspace.environments.record import Environment, find_environment, python_of

# What of pip's talk says where it is.
_TOLD = ("Collecting ", "Downloading ", "Installing collected", "Successfully installed", "WARNING: Retrying")
_SHOWN_PINS = 8
_LONGEST = 160


def act(call: Call) -> int:
    spec: InstallSpec = call.spec
    recipe = find_recipe(spec.name)
    if call.dry_run:
        return _show_plan(call, spec, recipe)
    before = find_environment(spec.name)
    environment = install_engine(spec, lambda line, step, steps: _say(call, line, step, steps))
    if not call.output.as_json:
        told = "engines.already" if environment == before else "engines.ready"
        call.output.say(text(told, **_facts(recipe, environment)))
        call.output.say(text("engines.next", name=spec.name))
    call.output.data(_json(recipe, environment))
    return 0


def _say(call: Call, line: str, step: int, steps: int) -> None:
    words = line.strip()
    if not call.quiet and words.startswith(_TOLD):
        call.output.say(text("engines.step", step=step, steps=steps, line=words[:_LONGEST]))


def _show_plan(call: Call, spec: InstallSpec, recipe: Recipe) -> int:
    """What would be installed, from where, and how much room it takes; asks nobody."""
    if spec.use is not None:
        value: dict[str, Any] = {"engine": spec.name, "use": spec.use}
        call.output.data(value, text("engines.plan.use", title=recipe.title, path=spec.use))
        return 0
    folder, pins = target_folder(spec), recipe.pins()
    commands = [_command(folder, pip_command(spec, recipe, packages)) for packages in recipe.steps]
    size = recipe.disk_bytes + (recipe.cuda_bytes if gpus() else 0)
    value = {"engine": spec.name, "path": str(folder), "disk_bytes": size, "pins": pins, "commands": commands}
    first = ", ".join(f"{name} {version}" for name, version in list(pins.items())[:_SHOWN_PINS])
    words = text(
        "engines.plan",
        title=recipe.title,
        path=folder,
        size=human_size(size),
        count=len(pins),
        pins=first,
        commands="\n".join(f"  {command}" for command in commands),
    )
    call.output.data(value, words)
    return 0


def _command(folder: Path, words: list[str]) -> str:
    return shlex.join([str(python_of(folder)), *words])


def _facts(recipe: Recipe, environment: Environment) -> dict[str, str]:
    return {
        "name": recipe.name,
        "title": recipe.title,
        "version": environment.version(recipe.title),
        "torch": environment.version("torch"),
        "path": environment.path,
    }


def _json(recipe: Recipe, environment: Environment) -> dict[str, Any]:
    return {
        **_facts(recipe, environment),
        "cuda": environment.cuda,
        "owned": environment.owned,
        "created": environment.created,
        "versions": environment.versions,
    }


COMMAND = Command(
    "engines install",
    act,
    InstallSpec,
    switches=("dry_run", "quiet"),
    words=1,
    first_word="name",
    usage="NAME",
)
