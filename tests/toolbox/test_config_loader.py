"""Configuration: what the file says, over defaults, under the environment; every fault with its place."""

from __future__ import annotations

import importlib
import json
import sys

import pytest
from config_loader import ConfigLoader, merge

from mozhu.kernel.errors import (
    InvalidSpec,
    MissingFile,
    MissingLibrary,
    UnknownConfigFormat,
    UnknownSlotName,
    UnreadableConfig,
)

VALUES = {"name": "医疗", "train": {"lr": 0.001, "layers": [1, 2]}, "on": True}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOZHU_WORKSPACE", raising=False)


def test_the_file_lies_over_the_defaults_and_both_stay_as_they_are():
    defaults = {"train": {"lr": 1, "epochs": 3}, "paths": {"in": ["a"]}}
    ConfigLoader().save_config(VALUES, "config.json")
    config = ConfigLoader().load_config("config.json", defaults=defaults)
    assert config == {**VALUES, "train": {"lr": 0.001, "layers": [1, 2], "epochs": 3}, "paths": {"in": ["a"]}}
    config["paths"]["in"].append("b")
    assert defaults == {"train": {"lr": 1, "epochs": 3}, "paths": {"in": ["a"]}}


def test_merging_replaces_lists_and_tables_by_plain_values():
    assert merge({"a": {"b": 1}, "c": [1, 2]}, {"a": 5, "c": [3]}) == {"a": 5, "c": [3]}
    assert merge({"a": 5}, {"a": {"b": 1}}) == {"a": {"b": 1}}


def test_the_environment_wins_and_finds_names_whatever_their_case():
    ConfigLoader().save_config({"Train": {"lr": 0.1}, "name": "a"}, "config.json")
    environment = {
        "APP__TRAIN__LR": "0.5",
        "APP__NAME": "true story",
        "APP__NEW__DEEP": "[1]",
        "OTHER__NAME": "x",
    }
    config = ConfigLoader(environment).load_config("config.json", env_prefix="app")
    assert config == {"Train": {"lr": 0.5}, "name": "true story", "new": {"deep": [1]}}
    assert ConfigLoader(environment).load_config("config.json")["name"] == "a"


@pytest.mark.parametrize("ending", ["json", "yaml", "yml"])
def test_what_is_saved_is_loaded_again(ending):
    if ending != "json":
        pytest.importorskip("yaml")
    path = ConfigLoader().save_config(VALUES, f"made/config.{ending}")
    assert ConfigLoader().load_config(path) == VALUES
    assert "医疗" in path.read_text(encoding="utf-8")


def test_toml_is_read(tmp_path):
    if not any(importlib.util.find_spec(name) for name in ("tomllib", "tomli")):
        pytest.skip("no TOML library")
    (tmp_path / "c.toml").write_text('name = "医疗"\n[train]\nlr = 0.001\n', encoding="utf-8")
    assert ConfigLoader().load_config("c.toml") == {"name": "医疗", "train": {"lr": 0.001}}
    (tmp_path / "bad.toml").write_text("a = 1\nb = = 2\n")
    with pytest.raises(UnreadableConfig, match="line 2"):
        ConfigLoader().load_config("bad.toml")


@pytest.mark.parametrize(("name", "package"), [("c.yaml", "pyyaml"), ("c.toml", "tomli")])
def test_a_missing_library_is_named_with_its_command(tmp_path, monkeypatch, name, package):
    for module in ("yaml", "tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_text("")
    with pytest.raises(MissingLibrary, match=f"pip install {package}"):
        ConfigLoader().load_config(name)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.json", '{\n"a": 1,\n}', "line 3"),
        ("a.json", "[1, 2]", "top level"),
        ("a.yaml", "a: 1\nb: [1, 2\nc: 3\n", "line 3"),
        ("a.yaml", "just words", "top level"),
    ],
)
def test_a_damaged_file_is_named_with_its_line(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(UnreadableConfig, match=words):
        ConfigLoader().load_config(name)


def test_a_missing_file_and_an_unknown_ending_are_named():
    with pytest.raises(MissingFile, match="nowhere.json"):
        ConfigLoader().load_config("nowhere.json")
    with pytest.raises(UnknownConfigFormat, match="settings.ini"):
        ConfigLoader().save_config({}, "settings.ini")


def test_a_relative_name_is_also_found_in_the_workspaces_configs(tmp_path, monkeypatch):
    (tmp_path / "0_configs").mkdir()
    (tmp_path / "0_configs" / "mine.json").write_text('{"from": "workspace"}')
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert ConfigLoader().load_config("mine.json") == {"from": "workspace"}
    (tmp_path / "deep" / "mine.json").write_text('{"from": "here"}')
    assert ConfigLoader().load_config("mine.json") == {"from": "here"}


def test_a_spec_tells_where_each_value_came_from(tmp_path):
    (tmp_path / "t.json").write_text(json.dumps({"model": "starter", "dataset": "rows.json", "lora_rank": 4}))
    environment = {"MOZHU_TRAIN__BATCH_SIZE": "2"}
    found = ConfigLoader(environment).load_spec("train", "t.json", lora_alpha=64)
    assert (found.spec.lora_rank, found.spec.batch_size, found.spec.lora_alpha) == (4, 2, 64)
    assert found.origins["lora_rank"] == "file:t.json" and found.origins["lora_alpha"] == "flag"
    assert found.origins["batch_size"] == "environment:MOZHU_TRAIN__BATCH_SIZE"
    assert found.origins["seed"] == "default"


def test_every_wrong_value_of_a_spec_is_listed_at_once(tmp_path):
    (tmp_path / "t.json").write_text('{"model": "starter", "dataset": "d", "lora_rank": 0, "lora_ranks": 3}')
    with pytest.raises(InvalidSpec) as caught:
        ConfigLoader({}).load_spec("train", "t.json", batch_size=-1)
    assert all(name in caught.value.what for name in ("lora_rank", "lora_ranks", "batch_size"))
    with pytest.raises(UnknownSlotName, match="train"):
        ConfigLoader({}).load_spec("trian", "t.json")
