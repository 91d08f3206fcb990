"""One request out of its layers: default < preset < file < environment < flag, each value with its origin.

Environment variables are ``MOZHU_<VERB>__<FIELD>``, for example ``MOZHU_TRAIN__LORA_RANK=16``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from mozhu.kernel.errors import BadConfigFile, BadJson, InvalidSpec, UnknownPreset
from mozhu.kernel.files import read_json
from mozhu.kernel.paths import Workspace
from mozhu.kernel.texts import has_text, text
from mozhu.specs.base import Spec
from mozhu.specs.fields import fields_of

_PRESETS = Path(__file__).resolve().parent / "presets"
# Keys of a config file that are for editors and readers, not values of the spec.
_NOT_VALUES = {"$schema", "preset", "comment"}
S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class Resolved(Generic[S]):
    """The spec and, for every field, where its value came from (``default``, ``preset:lora``, a file, …)."""

    spec: S
    origins: dict[str, str]
    preset: str | None


@dataclass(frozen=True)
class Layers:
    """The layers as given. ``flags`` holds only what was typed; ``workspace`` is where files are looked for."""

    flags: Mapping[str, Any]
    preset: str | None = None
    config: Path | None = None
    workspace: Workspace | None = None
    environment: Mapping[str, str] | None = None


def resolve(spec: type[S], layers: Layers) -> Resolved[S]:
    """The request that the layers make together.

    Raises:
        InvalidSpec: SPEC-001 listing every wrong value with its origin. UnknownPreset: SPEC-002.
        BadConfigFile: SPEC-003. MissingFile: FILE-001.
    """
    file_values, file_origin = _file_layer(spec, layers)
    environment, named_by_environment = _environment_layer(spec, layers)
    preset = layers.preset or named_by_environment or file_values.get("preset")
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}

    def put(layer: Mapping[str, Any], origin: str) -> None:
        for name, value in layer.items():
            values[name] = value
            origins[name] = origin

    for field in fields_of(spec):
        if not field.required:
            origins[field.name] = "default"
    if preset:
        put(load_preset(spec, str(preset), layers.workspace), f"preset:{preset}")
    put({name: value for name, value in file_values.items() if name not in _NOT_VALUES}, file_origin)
    for name, value in environment.items():
        put({name: value}, f"environment:{_variable(spec, name)}")
    put(layers.flags, "flag")
    return Resolved(_build(spec, values, origins), origins, str(preset) if preset else None)


def load_preset(spec: type[Spec], name: str, workspace: Workspace | None = None) -> dict[str, Any]:
    """The values of a preset: the workspace's own, else the built-in one."""
    known = preset_names(spec, workspace)
    for folder in _preset_folders(spec, workspace):
        path = folder / f"{name}.json"
        if name in known and path.is_file():  # a name, never a path to somewhere else
            return {key: value for key, value in _read_config(path).items() if key not in _NOT_VALUES}
    near = get_close_matches(name, known, 3, 0.5)
    raise UnknownPreset(name=name, verb=spec.verb, known=near or known)


def preset_names(spec: type[Spec], workspace: Workspace | None = None) -> list[str]:
    return sorted(
        {path.stem for folder in _preset_folders(spec, workspace) for path in folder.glob("*.json")}
    )


@cache
def json_schema(spec: type[Spec]) -> dict[str, Any]:
    """The JSON schema of a spec's config file: the same model, nothing required, with ``$schema`` and ``preset``."""
    schema = spec.model_json_schema()
    schema.pop("required", None)
    schema["properties"]["$schema"] = {"type": "string"}
    schema["properties"]["comment"] = {"type": "string"}
    if spec.has_presets:
        schema["properties"]["preset"] = {"type": "string"}
    return schema


def _build(spec: type[S], values: dict[str, Any], origins: dict[str, str]) -> S:
    try:
        return spec.model_validate(values)
    except ValidationError as error:
        problems = [_problem(spec, item, values, origins) for item in error.errors()]
        raise InvalidSpec(
            verb=spec.verb.replace(".", " "), problems="\n  ".join(problems), count=len(problems)
        ) from error


def _problem(spec: type[Spec], item: Any, values: dict[str, Any], origins: dict[str, str]) -> str:
    """One wrong value in one line: the field, the value, its origin, what was expected."""
    known = {field.name: field for field in fields_of(spec)}
    name = str(item["loc"][0]) if item["loc"] else ""
    kind = item["type"]
    if kind == "extra_forbidden":
        near = get_close_matches(name, known, 3, 0.6)
        return text(
            "spec.problem.unknown", name=name, origin=origins.get(name, ""), near=", ".join(near) or "-"
        )
    if kind == "missing":
        return text("spec.problem.missing", name=name, flag=f"--{name}", help=known[name].help(spec.verb))
    if name in known:
        return text(
            "spec.problem.value",
            name=name,
            value=json.dumps(values.get(name), ensure_ascii=False, default=str),
            origin=origins.get(name, ""),
            expected=known[name].expected(),
        )
    key = str(item["msg"]).removeprefix("Value error, ")
    return text(key) if has_text(key) else key


def _file_layer(spec: type[Spec], layers: Layers) -> tuple[dict[str, Any], str]:
    """The file that was named, else the workspace's own config file of this verb, else nothing."""
    path = layers.config
    if path is None and spec.config_file and layers.workspace:
        path = layers.workspace.configs / spec.config_file
        if not path.is_file():
            return {}, ""
    if path is None:
        return {}, ""
    return _read_config(path), f"file:{path}"


def _read_config(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except BadJson as error:
        raise BadConfigFile(**error.params) from error
    if not isinstance(value, dict):
        raise BadConfigFile(path=str(path), line=1, column=1, reason=text("spec.expected.object"))
    return value


def _environment_layer(spec: type[Spec], layers: Layers) -> tuple[dict[str, str], str | None]:
    environment = os.environ if layers.environment is None else layers.environment
    values = {
        field.name: environment[variable]
        for field in fields_of(spec)
        if (variable := _variable(spec, field.name)) in environment
    }
    return values, environment.get(_variable(spec, "preset")) if spec.has_presets else None


def _variable(spec: type[Spec], field: str) -> str:
    return f"MOZHU_{spec.verb.replace('.', '_')}__{field}".upper()


def _preset_folders(spec: type[Spec], workspace: Workspace | None) -> list[Path]:
    built_in = [_PRESETS / spec.verb]
    return [workspace.configs / "presets" / spec.verb, *built_in] if workspace else built_in
