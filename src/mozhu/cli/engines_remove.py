"""``mozhu engines remove NAME``: the environment of an engine goes; one that was taken over is only forgotten."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.kernel.texts import text
from mozhu.specs.engines import RemoveSpec
from mozhu.workspace.environments.install import is_half_made, remove_engine
from mozhu.workspace.environments.recipes import find_recipe
from mozhu.workspace.environments.record import engines_home, find_environment


def act(call: Call) -> int:
    name = find_recipe(call.spec.name).name
    found, half = find_environment(name), is_half_made(name)
    place = found.path if found else str(engines_home() / name)
    if call.dry_run:
        words = text("engines.removes", path=place) if found or half else text("engines.nothing", name=name)
        call.output.data({"engine": name, "path": place, "removed": False}, words)
        return 0
    remove_engine(name)
    if found is not None and not found.owned:
        words = text("engines.forgotten", path=place)
    else:
        words = text("engines.removed" if found or half else "engines.nothing", name=name, path=place)
    call.output.data({"engine": name, "path": place, "removed": bool(found or half)}, words)
    return 0


COMMAND = Command(
    "engines remove", act, RemoveSpec, switches=("dry_run",), words=1, first_word="name", usage="NAME"
)
