"""``mozhu engines list``: the engines with an environment of their own, and what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.kernel.files import folder_bytes, human_size
from mozhu.kernel.texts import text
from mozhu.specs.engines import ListEnginesSpec
from mozhu.workspace.environments.install import is_half_made
from mozhu.workspace.environments.recipes import RECIPES, Recipe
from mozhu.workspace.environments.record import engines_home, find_environment

_COLUMNS = ("name", "state", "version", "device", "size", "path")


def act(call: Call) -> int:
    found = [_facts(recipe) for recipe in RECIPES.values()]
    rows = [
        (
            each["name"],
            text(f"engines.state.{each['state']}"),
            each["version"],
            each["device"],
            human_size(each["size_bytes"]) if each["size_bytes"] else "",
            each["path"],
        )
        for each in found
    ]
    call.output.table([text(f"engines.column.{name}") for name in _COLUMNS], rows, value=found)
    return 0


def _facts(recipe: Recipe) -> dict[str, Any]:
    environment = find_environment(recipe.name)
    if environment is None:
        half = is_half_made(recipe.name)
        return {
            "name": recipe.name,
            "state": "half" if half else "absent",
            "version": "",
            "device": "",
            "size_bytes": 0,
            "path": str(engines_home() / recipe.name) if half else "",
        }
    return {
        "name": recipe.name,
        "state": "installed" if environment.owned else "adopted",
        "version": f"{recipe.title} {environment.version(recipe.title)}",
        "device": f"cuda {environment.cuda}" if environment.cuda else "cpu",
        "size_bytes": folder_bytes(Path(environment.path)) if environment.owned else 0,
        "path": environment.path,
    }


COMMAND = Command("engines list", act, ListEnginesSpec)
