"""One request out of its layers, each value with its origin; everything that is wrong is told in one pass."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozhu.kernel import slots
from mozhu.kernel.errors import BadConfigFile, InvalidSpec, MissingFile, UnknownPreset
from mozhu.kernel.paths import Workspace
from mozhu.kernel.texts import LANGUAGES, set_language
from mozhu.specs.agent import AgentSpec
from mozhu.specs.base import Spec
from mozhu.specs.data import PrepareSpec, SampleSpec
from mozhu.specs.demo import DemoSpec
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.export import ConvertSpec, MergeSpec
from mozhu.specs.fields import fields_of
from mozhu.specs.layers import Layers, json_schema, load_preset, preset_names, resolve
from mozhu.specs.registry import ListSpec, RegisterSpec, RescanSpec, ShowSpec, ValidateSpec
from mozhu.specs.serve import DeploySpec, InferSpec
from mozhu.specs.service import DocumentSpec, ServiceSpec
from mozhu.specs.settings import ModelSettings
from mozhu.specs.train import TrainSpec

ROOT = Path(__file__).resolve().parents[2]
SPECS: tuple[type[Spec], ...] = (
    TrainSpec,
    InferSpec,
    DeploySpec,
    EvaluateSpec,
    MergeSpec,
    ConvertSpec,
    PrepareSpec,
    SampleSpec,
    DemoSpec,
    AgentSpec,
    ModelSettings,
    ListSpec,
    RegisterSpec,
    ShowSpec,
    ValidateSpec,
    RescanSpec,
    ServiceSpec,
    DocumentSpec,
)
# Lowest first; each layer gives ``lora_rank`` another value.
LAYERS = ("preset", "file", "environment", "flag")
RANKS = {"default": 8, "preset": 11, "file": 22, "environment": 33, "flag": 44}
GIVEN = {"model": "starter", "dataset": "sample"}


def layers(workspace: Workspace, present: tuple[str, ...]) -> Layers:
    """``lora_rank`` in each of the layers that are ``present``."""
    presets = workspace.configs / "presets/train"
    presets.mkdir(parents=True)
    (presets / "mine.json").write_text(
        json.dumps({"comment": "x", "lora_rank": RANKS["preset"]}), encoding="utf-8"
    )
    file: dict[str, Any] = {"seed": 1, **({"lora_rank": RANKS["file"]} if "file" in present else {})}
    (workspace.configs / "0_train_config.json").write_text(json.dumps(file), encoding="utf-8")
    return Layers(
        flags={**GIVEN, **({"lora_rank": str(RANKS["flag"])} if "flag" in present else {})},
        preset="mine" if "preset" in present else None,
        workspace=workspace,
        environment={"MOZHU_TRAIN__LORA_RANK": str(RANKS["environment"])} if "environment" in present else {},
    )


@pytest.mark.parametrize(
    "present", [chosen for size in range(5) for chosen in itertools.combinations(LAYERS, size)], ids="+".join
)
def test_the_highest_layer_wins_and_is_the_origin(present: tuple[str, ...], workspace: Workspace) -> None:
    resolved = resolve(TrainSpec, layers(workspace, present))
    winner = present[-1] if present else "default"
    assert resolved.spec.lora_rank == RANKS[winner]
    origins = {
        "default": "default",
        "preset": "preset:mine",
        "file": f"file:{workspace.configs / '0_train_config.json'}",
        "environment": "environment:MOZHU_TRAIN__LORA_RANK",
        "flag": "flag",
    }
    assert resolved.origins["lora_rank"] == origins[winner]
    assert resolved.origins["model"] == "flag" and resolved.origins["weight_decay"] == "default"
    assert resolved.origins["seed"] == origins["file"]
    assert set(resolved.origins) == set(TrainSpec.model_fields)


def test_a_preset_can_be_named_by_flag_environment_or_file(workspace: Workspace) -> None:
    path = workspace.configs / "0_train_config.json"
    path.write_text('{"preset": "full"}', encoding="utf-8")

    def named(preset: str | None = None, **environment: str) -> str | None:
        found = resolve(TrainSpec, Layers(GIVEN, preset, None, workspace, environment))
        assert found.spec.train_type == (found.preset or "")
        return found.preset

    assert named() == "full"
    assert named(MOZHU_TRAIN__PRESET="qlora") == "qlora"
    assert named("lora", MOZHU_TRAIN__PRESET="qlora") == "lora"


def test_a_named_config_takes_the_place_of_the_workspaces_own(workspace: Workspace, tmp_path: Path) -> None:
    (workspace.configs / "0_train_config.json").write_text('{"seed": 1, "lora_rank": 4}', encoding="utf-8")
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({**GIVEN, "seed": 2}), encoding="utf-8")
    resolved = resolve(TrainSpec, Layers({}, None, mine, workspace, {}))
    assert (resolved.spec.seed, resolved.spec.lora_rank) == (2, 8)
    assert resolved.origins["seed"] == f"file:{mine}"


# ---------------------------------------------------------------- presets
@pytest.mark.parametrize("name", ["lora", "qlora", "full", "multimodal"])
def test_a_preset_needs_nothing_but_a_model(name: str) -> None:
    """Seed 002 calls ``--preset lora --model X`` alone: each preset brings the sample data set."""
    resolved = resolve(TrainSpec, Layers({"model": "any"}, name, None, None, {}))
    assert (resolved.spec.train_type, resolved.spec.dataset) == (name, "sample")
    assert resolved.origins["dataset"] == f"preset:{name}"


def test_every_built_in_preset_is_sound_and_says_what_it_is_for() -> None:
    needed: dict[str, dict[str, Any]] = {
        "train": {"model": "any"},
        "evaluate": {"checkpoint": "any", "test_data": "rows.jsonl"},
        "deploy": {},
    }
    found = 0
    for spec in SPECS:
        for name in preset_names(spec) if spec.has_presets else []:
            resolve(spec, Layers(needed[spec.verb], name, None, None, {}))
            jsonschema.validate(load_preset(spec, name), json_schema(spec))
            found += 1
    assert found >= 8
    assert {"local", "server"} == set(preset_names(DeploySpec))
    assert "standard" in preset_names(EvaluateSpec)


def test_a_workspaces_own_preset_comes_before_the_built_in_one(workspace: Workspace) -> None:
    folder = workspace.configs / "presets/train"
    folder.mkdir(parents=True)
    (folder / "lora.json").write_text('{"dataset": "mine", "lora_rank": 3}', encoding="utf-8")
    resolved = resolve(TrainSpec, Layers({"model": "x"}, "lora", None, workspace, {}))
    assert (resolved.spec.dataset, resolved.spec.lora_rank) == ("mine", 3)
    assert preset_names(TrainSpec, workspace).count("lora") == 1


def test_an_unknown_preset_lists_the_nearest() -> None:
    with pytest.raises(UnknownPreset) as caught:
        resolve(TrainSpec, Layers(GIVEN, "qlorra", None, None, {}))
    assert caught.value.params["known"][0] == "qlora"
    with pytest.raises(UnknownPreset) as caught:
        resolve(TrainSpec, Layers(GIVEN, "zzz", None, None, {}))
    assert caught.value.params["known"] == preset_names(TrainSpec)


@pytest.mark.parametrize("name", ["../../../secrets", "{root}/secrets", "../deploy/local", "."])
def test_a_preset_is_a_name_and_not_a_path(name: str, workspace: Workspace) -> None:
    (workspace.root / "secrets.json").write_text('{"seed": 3}', encoding="utf-8")
    (workspace.configs / "presets/train").mkdir(parents=True)
    with pytest.raises(UnknownPreset):
        resolve(TrainSpec, Layers(GIVEN, name.format(root=workspace.root), None, workspace, {}))


# ---------------------------------------------------------------- what is wrong
def test_every_problem_is_told_in_one_pass_with_its_origin(workspace: Workspace) -> None:
    path = workspace.configs / "0_train_config.json"
    path.write_text('{"lora_rnak": 8, "seed": "soon", "batch_size": 0}', encoding="utf-8")
    given_layers = Layers(
        {"learning_rate": "fast"}, None, None, workspace, {"MOZHU_TRAIN__TRAIN_TYPE": "lorra"}
    )
    with pytest.raises(InvalidSpec) as caught:
        resolve(TrainSpec, given_layers)
    problems = str(caught.value.params["problems"]).splitlines()
    assert caught.value.params["count"] == len(problems) == 7
    told = {name: line for line in problems for name in [line.split("`")[1]]}
    assert set(told) == {"model", "dataset", "lora_rnak", "seed", "batch_size", "learning_rate", "train_type"}
    assert "lora_rank" in told["lora_rnak"] and str(path) in told["lora_rnak"]
    assert '"soon"' in told["seed"] and "whole number" in told["seed"]
    assert "> 0" in told["batch_size"]
    assert "(from flag)" in told["learning_rate"]
    assert "environment:MOZHU_TRAIN__TRAIN_TYPE" in told["train_type"] and "`qlora`" in told["train_type"]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_rules_between_fields_are_told_in_words(lang: str) -> None:
    set_language(lang)
    wrong: list[tuple[type[Spec], dict[str, Any]]] = [
        (TrainSpec, {**GIVEN, "train_type": "full", "quantization": "4bit"}),
        (PrepareSpec, {"input": "x", "train_share": 0.5}),
        (EvaluateSpec, {"checkpoint": "x"}),
        (EvaluateSpec, {"checkpoint": "x", "test_data": "y", "metrics": ""}),
    ]
    for spec, flags in wrong:
        with pytest.raises(InvalidSpec) as caught:
            resolve(spec, Layers(flags, None, None, None, {}))
        words = str(caught.value.params["problems"])
        assert ".rule." not in words and len(words) > 10


@pytest.mark.parametrize("content", ["", "{", "[1]", '"x"', "null", '{"a": 1,}'])
def test_a_config_that_is_no_json_object_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadConfigFile) as caught:
        resolve(TrainSpec, Layers({}, None, path, None, {}))
    assert caught.value.params["path"] == str(path) and caught.value.exit_code == 2
    assert path.read_text(encoding="utf-8") == content


def test_a_config_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        resolve(TrainSpec, Layers({}, None, tmp_path / "mine.json", None, {}))


@given(rank=st.integers())
def test_a_number_is_taken_or_refused_and_never_changed(rank: int) -> None:
    try:
        spec = resolve(TrainSpec, Layers({**GIVEN, "lora_rank": str(rank)}, None, None, None, {})).spec
    except InvalidSpec:
        assert rank <= 0 or abs(rank) > 2**63
    else:
        assert spec.lora_rank == rank > 0


# ---------------------------------------------------------------- specs
@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.verb)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_field_has_its_words(spec: type[Spec], lang: str) -> None:
    if spec in {AgentSpec, ModelSettings, DeploySpec}:  # config files without a command of their own yet
        return
    set_language(lang)
    for field in fields_of(spec):
        assert field.help(spec.verb) and field.expected()


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.verb)
def test_path_fields_and_free_fields_are_fields(spec: type[Spec]) -> None:
    assert set(spec.path_fields) | spec.not_part_of_the_run <= set(spec.model_fields)


def test_every_verb_that_runs_has_its_spec() -> None:
    for verb in slots.BUILT_IN["mozhu.verbs"]:
        spec: type[Spec] = slots.load("mozhu.specs", verb)
        assert spec.verb == verb


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(ValueError):
        TrainSpec(**GIVEN).seed = 7  # type: ignore[misc]


def test_a_spec_survives_json() -> None:
    spec = TrainSpec(**GIVEN, target_modules="q_proj, k_proj", learning_rate=2e-4, max_steps=5)
    assert spec.target_modules == ("q_proj", "k_proj")
    assert TrainSpec.model_validate(json.loads(spec.model_dump_json())) == spec


# ---------------------------------------------------------------- schemas
COMMITTED = {
    "0_train_config.json": TrainSpec,
    "1_model_config.json": ModelSettings,
    "2_deploy_config.json": DeploySpec,
    "3_service_config.json": ServiceSpec,
    **{f"agents/{name}_config.json": AgentSpec for name in ("rag", "preference", "medical")},
}


@pytest.mark.parametrize("name", COMMITTED)
def test_committed_configs_pass_their_schema_and_a_typo_does_not(name: str) -> None:
    spec = COMMITTED[name]
    content = json.loads((ROOT / "0_configs" / name).read_text(encoding="utf-8"))
    schema = json_schema(spec)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(content, schema)
    first = next(field for field in fields_of(spec))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**content, f"{first.name}x": 1}, schema)
    resolve(spec, Layers({}, None, ROOT / "0_configs" / name, None, {}))


SCHEMAS = {
    "train": TrainSpec,
    "settings": ModelSettings,
    "deploy": DeploySpec,
    "agent": AgentSpec,
    "up": ServiceSpec,
}


@pytest.mark.parametrize(("name", "spec"), SCHEMAS.items())
def test_committed_schemas_are_those_of_the_specs(name: str, spec: type[Spec]) -> None:
    path = ROOT / f"0_configs/schemas/{name}.schema.json"
    assert json.loads(path.read_text(encoding="utf-8")) == json_schema(spec)


@pytest.mark.parametrize(
    "wrong",
    [{"lora_rank": "8"}, {"lora_rank": 0}, {"train_type": "lorra"}, {"validation_split": 1}, {"models": {}}],
)
def test_the_schema_refuses_what_the_spec_refuses(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, json_schema(TrainSpec))
