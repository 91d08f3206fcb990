"""``mozhu doctor``: what this machine has, which parts of Mozhu work on it, and what to type for the others."""

from __future__ import annotations

from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.kernel.files import human_size
from mozhu.kernel.machine import Machine, describe, library_version
from mozhu.kernel.paths import workspace_or_here
from mozhu.kernel.texts import text
from mozhu.workspace.environments.recipes import RECIPES, Recipe
from mozhu.workspace.environments.record import find_environment
from mozhu.workspace.tree import make_runtime_folders

# Extra -> the libraries it brings.
EXTRAS = {
    "train": ("torch", "transformers", "peft", "trl", "accelerate", "datasets", "safetensors", "tokenizers"),
    "export": ("gguf", "xllamacpp"),
    "quant": ("bitsandbytes",),
    "server": ("fastapi", "uvicorn", "prometheus-client", "httpx2", "zipstream-ng"),
    "postgres": ("psycopg",),
    "cloud": ("obstore", "boto3"),
}


def act(call: Call) -> int:
    """Always exit 0: a missing part is a fact about the machine, not a failure of the check."""
    machine = describe()
    workspace = workspace_or_here()
    made = make_runtime_folders(workspace) if call.workspace else []
    value = {
        "machine": _machine(machine),
        "extras": {name: _extra(libraries) for name, libraries in EXTRAS.items()},
        "engines": {recipe.title: _engine(recipe) for recipe in RECIPES.values()},
        "workspace": {"root": str(workspace.root) if call.workspace else None, "made": made},
    }
    call.output.data(value, "\n".join(_lines(value, machine)))
    return 0


def _machine(machine: Machine) -> dict[str, Any]:
    return {
        "system": machine.system,
        "python": machine.python,
        "cores": machine.cores,
        "free_cores": machine.free_cores,
        "memory_bytes": machine.memory_bytes,
        "memory_free_bytes": machine.memory_free_bytes,
        "disk_free_bytes": machine.disk_free_bytes,
        "gpus": [
            {"name": gpu.name, "memory_bytes": gpu.total_bytes, "driver": gpu.driver} for gpu in machine.gpus
        ],
    }


def _extra(libraries: tuple[str, ...]) -> dict[str, Any]:
    versions = {name: library_version(name) for name in libraries}
    return {"ready": all(versions.values()), "libraries": versions}


def _engine(recipe: Recipe) -> str | None:
    """The version in the environment of an engine."""
    environment = find_environment(recipe.name)
    return environment.version(recipe.title) if environment else None


def _lines(value: dict[str, Any], machine: Machine) -> list[str]:
    lines = [
        text("doctor.machine", system=machine.system, python=machine.python),
        text(
            "doctor.resources",
            cores=machine.cores,
            free_cores=machine.free_cores,
            memory=human_size(machine.memory_bytes),
            memory_free=human_size(machine.memory_free_bytes),
            disk=human_size(machine.disk_free_bytes),
        ),
    ]
    for gpu in machine.gpus:
        lines.append(text("doctor.gpu", name=gpu.name, memory=human_size(gpu.total_bytes), driver=gpu.driver))
    if not machine.gpus:
        lines.append(text("doctor.no_gpu"))
    for name, extra in value["extras"].items():
        versions = ", ".join(f"{library} {version or '-'}" for library, version in extra["libraries"].items())
        lines.append(f"{'✓' if extra['ready'] else '✗'} [{name}] {versions}")
        if not extra["ready"]:
            missing = [library for library, version in extra["libraries"].items() if not version]
            lines.append("  " + text("doctor.missing", libraries=", ".join(missing), extra=name))
    for recipe in RECIPES.values():
        version = value["engines"][recipe.title]
        absent = text("doctor.no_engine", name=recipe.name)
        lines.append(f"{'✓' if version else '–'} {recipe.title} {version or absent}")
    place = value["workspace"]
    lines.append(
        text("doctor.workspace", path=place["root"]) if place["root"] else text("doctor.no_workspace")
    )
    if place["made"]:
        lines.append("  " + text("doctor.made", names=", ".join(place["made"])))
    return lines


COMMAND = Command("doctor", act)
