"""``mozhu info --config``: every setting as it resolves here, and where each value came from."""

from __future__ import annotations

from typing import Any

from mozhu import __version__
from mozhu.cli.command import Call, Command
from mozhu.kernel.errors import InvalidSpec, MozhuError
from mozhu.kernel.paths import Workspace
from mozhu.kernel.texts import language, text
from mozhu.specs.agent import AgentSpec
from mozhu.specs.base import Spec
from mozhu.specs.fields import fields_of
from mozhu.specs.layers import Layers, preset_names, resolve
from mozhu.specs.serve import DeploySpec
from mozhu.specs.settings import ModelSettings
from mozhu.specs.train import TrainSpec

SECTIONS: tuple[type[Spec], ...] = (TrainSpec, ModelSettings, DeploySpec)


def act(call: Call) -> int:
    workspace = call.home
    value: dict[str, Any] = {
        "mozhu": __version__,
        "language": language(),
        "workspace": str(workspace.root) if call.workspace else None,
    }
    if call.switches.get("config"):
        value["config"] = {spec.verb: _section(spec, workspace) for spec in SECTIONS}
        value["agents"] = _agents(workspace)
        value["presets"] = {spec.verb: preset_names(spec, workspace) for spec in SECTIONS if spec.has_presets}
    call.output.data(value, "\n".join(_lines(value)))
    return 0


def _section(spec: type[Spec], workspace: Workspace) -> dict[str, dict[str, Any]]:
    """Each field's value and origin; a field that must be given and is not has the origin ``-``."""
    resolved = _resolved(spec, workspace)
    return {
        field.name: {"value": resolved[0].get(field.name), "origin": resolved[1].get(field.name, "-")}
        for field in fields_of(spec)
    }


def _resolved(spec: type[Spec], workspace: Workspace) -> tuple[dict[str, Any], dict[str, str]]:
    layers = Layers(flags={}, workspace=workspace)
    required = {field.name: "-" for field in fields_of(spec) if field.required}
    try:
        found = resolve(spec, layers)
    except InvalidSpec:
        if not required:
            raise
        # A required field that no layer gives: show the rest all the same.
        found = resolve(spec, Layers(flags=required, workspace=workspace))
        given = {name: origin for name, origin in found.origins.items() if origin != "flag"}
        return {**found.spec.model_dump(mode="json"), **dict.fromkeys(required)}, given
    return found.spec.model_dump(mode="json"), found.origins


def _agents(workspace: Workspace) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted((workspace.configs / "agents").glob("*.json")):
        try:
            found[path.stem] = resolve(AgentSpec, Layers(flags={}, config=path)).spec.model_dump(mode="json")
        except MozhuError as error:
            found[path.stem] = {"error": error.to_json()}
    return found


def _lines(value: dict[str, Any]) -> list[str]:
    lines = [
        f"mozhu {value['mozhu']} · {value['language']} · {value['workspace'] or text('doctor.no_workspace')}"
    ]
    for name, section in value.get("config", {}).items():
        lines += ["", f"[{name}]"]
        width = max(len(field) for field in section)
        for field, entry in section.items():
            lines.append(f"  {field:<{width}} = {_shown(entry['value'])}  ({entry['origin']})")
    if "agents" in value:
        lines += ["", "[agents]"]
        lines += [
            f"  {name}: {_shown(agent.get('kind') or agent)}" for name, agent in value["agents"].items()
        ]
    for verb, names in value.get("presets", {}).items():
        lines += ["", f"[presets.{verb}] {', '.join(names)}"]
    return lines


def _shown(value: object) -> str:
    return "-" if value is None or value == [] or value == {} else str(value)


COMMAND = Command("info", act, switches=("config",))
