"""Seed 000's naming rules, and where a workspace is found."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.kernel.errors import BadName
from mozhu.kernel.paths import (
    MODEL_TREE,
    Workspace,
    check_name,
    checkpoint_name,
    checkpoint_step,
    find_workspace,
    finetuned_name,
    is_semantic_version,
    next_version,
    parse_finetuned_name,
    parse_pretrained_name,
    pretrained_name,
    workspace_or_here,
)

FAMILIES = st.from_regex(r"[A-Z][A-Za-z]{1,8}([0-9](\.[0-9])?)?", fullmatch=True)
SIZES = st.from_regex(r"[1-9][0-9]{0,2}(\.[0-9])?[KMBT]", fullmatch=True)
VARIANTS = st.sampled_from(["", "Instruct", "Chat", "chat-hf", "v0.3"])
TASKS = st.from_regex(r"[a-z]{1,8}(_[a-z]{1,5})?", fullmatch=True)
TYPES = st.sampled_from(["lora", "qlora", "full", "multimodal"])
DAYS = st.datetimes(datetime(2020, 1, 1), datetime(2099, 1, 1))


@settings(max_examples=40, deadline=None)
@given(FAMILIES, SIZES, VARIANTS)
def test_a_pretrained_name_gives_its_parts_back(family: str, size: str, variant: str) -> None:
    name = pretrained_name(family, size, variant)
    assert parse_pretrained_name(name) == {"family": family, "size": size, "variant": variant}


@settings(max_examples=40, deadline=None)
@given(FAMILIES, SIZES, VARIANTS, TASKS, TYPES, DAYS)
def test_a_finetuned_name_gives_its_parts_back(
    family: str, size: str, variant: str, task: str, train_type: str, day: datetime
) -> None:
    name = finetuned_name(f"owner/{pretrained_name(family, size, variant)}", task, train_type, day)
    assert parse_finetuned_name(name) == {
        "base": f"{family}-{size}",
        "task": task,
        "train_type": train_type,
        "timestamp": f"{day:%Y%m%d}",
    }


@given(st.text(max_size=30), st.text(max_size=30), TYPES)
def test_a_made_name_is_a_safe_folder_or_is_refused(base: str, task: str, train_type: str) -> None:
    try:
        name = finetuned_name(base, task, train_type, datetime(2026, 11, 21))
    except BadName:
        return
    assert not set(name) & set('/\\:*?"<>|\0') and name not in {"", ".", ".."} and not name.startswith(".")
    assert Path("root").joinpath(name).parent == Path("root")


@pytest.mark.parametrize(
    ("model", "dataset", "expected"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "medical_qa_dataset", "Qwen2.5-7B-medical_qa_dataset-lora-20261121"),
        ("./models/Llama-3-8B/", "data/rows.v2.jsonl", "Llama-3-8B-rows-lora-20261121"),
        ("starter", "sample", "starter-sample-lora-20261121"),
        ("C:\\models\\my model", "问答.json", "my model-问答-lora-20261121"),
    ],
)
def test_names_of_real_runs(model: str, dataset: str, expected: str) -> None:
    assert finetuned_name(model, dataset, "lora", datetime(2026, 11, 21)) == expected


@pytest.mark.parametrize("name", ["Qwen2.5-7B", "问答 模型", "v1_base", "a", "a.b-c", "x" * 200])
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", ".hidden", "a/b", "a\\b", "a:b", "x" * 201, "ends.", "ends ", "a\nb", "a\0b", "../up"],
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(BadName) as caught:
        check_name(name)
    assert caught.value.exit_code == 2


@given(st.integers(min_value=0, max_value=10**9))
def test_checkpoints(step: int) -> None:
    assert checkpoint_step(checkpoint_name(step)) == step
    assert checkpoint_name(step) == f"checkpoint-{step}"


def test_the_final_checkpoint_has_no_step() -> None:
    assert checkpoint_name(None) == "checkpoint-final"
    assert checkpoint_step("checkpoint-final") is None and checkpoint_step("checkpoint-x") is None


@pytest.mark.parametrize(
    ("last", "following"),
    [
        (None, "v1"),
        ("", "v1"),
        ("v1", "v2"),
        ("v9", "v10"),
        ("v2.1", "v2.2"),
        ("v1.0.0", "v1.0.1"),
        ("v1.0.9", "v1.0.10"),
        ("v3_medical", "v4_medical"),
        ("medical", "medical_2"),
    ],
)
def test_the_next_version_keeps_the_style(last: str | None, following: str) -> None:
    assert next_version(last) == following


@given(st.from_regex(r"v[0-9]{1,3}(\.[0-9]{1,3}){0,2}", fullmatch=True))
def test_the_next_version_is_another_one_of_the_same_form(last: str) -> None:
    following = next_version(last)
    assert following != last and following.count(".") == last.count(".")
    assert is_semantic_version(last) == is_semantic_version(following) == (last.count(".") == 2)


def test_a_workspace_is_found_upwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "project"
    (root / "0_configs").mkdir(parents=True)
    (root / "LLM/lora").mkdir(parents=True)
    monkeypatch.chdir(root / "LLM/lora")
    assert find_workspace() == workspace_or_here() == Workspace(root)
    assert find_workspace(tmp_path) is None
    monkeypatch.chdir(tmp_path)
    assert workspace_or_here() == Workspace(tmp_path)
    monkeypatch.setenv("MOZHU_WORKSPACE", str(root))
    assert find_workspace() == Workspace(root)


def test_places_of_a_workspace(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.training_log == tmp_path / "6_output/training/logs/training.log"
    assert (workspace.models, workspace.configs) == (tmp_path / "5_models", tmp_path / "0_configs")
    assert len(MODEL_TREE) == len(set(MODEL_TREE)) == 12
