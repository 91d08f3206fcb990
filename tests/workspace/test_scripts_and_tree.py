"""The thin scripts are those of the table, and a workspace is laid out without touching what is there."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from mozhu.cli.main import VERBS
from mozhu.kernel.errors import NotWritable
from mozhu.kernel.paths import MODEL_TREE, NUMBERED, Workspace
from mozhu.specs.fields import fields_of
from mozhu.workspace.scripts import SCRIPTS, find_script, script_text, translate
from mozhu.workspace.tree import files_root, lay_out, make_runtime_folders

ROOT = Path(__file__).resolve().parents[2]


def files(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


# ---------------------------------------------------------------- scripts
@pytest.mark.parametrize("path", SCRIPTS)
def test_the_committed_script_is_that_of_the_table(path: str) -> None:
    content = (ROOT / path).read_text(encoding="utf-8")
    assert content == script_text(path)
    compile(content, path, "exec")
    code = [line for line in content.splitlines() if line and not line.startswith(('"', "#", " "))]
    assert len(code) <= 4


def test_no_script_is_committed_that_the_table_does_not_know() -> None:
    for folder in ("4_scripts", "finetune", "LLM/lora", "5_models"):
        assert {f"{folder}/{path.name}" for path in (ROOT / folder).glob("*.py")} == {
            name for name in SCRIPTS if str(Path(name).parent) == folder
        }


@pytest.mark.parametrize("path", SCRIPTS)
def test_every_flag_of_the_table_becomes_one_that_the_command_has(path: str) -> None:
    script = SCRIPTS[path]
    name = " ".join(script.command)
    if name not in VERBS:  # the whole command line, or a group of it
        assert not script.flags
        return
    command = importlib.import_module(VERBS[name]).COMMAND
    known = {f"--{field.name}" for field in fields_of(command.spec)} | {
        f"--{name}" for name in command.switches
    }
    for words in script.flags.values():
        assert words[0] in known, words
    for words in script.instead.values():
        assert words[0] in VERBS


@pytest.mark.parametrize(
    ("path", "typed", "expected"),
    [
        ("4_scripts/main.py", "train --model x", "train --model x"),
        ("finetune/train_lora.py", "--base-model x --lora-r 8", "train --model x --lora_rank 8"),
        ("finetune/train_lora.py", "--use-quantization --val-data v", "train --quantization 4bit --val_dataset v"),
        ("finetune/train_lora.py", "--base_model=x --epochs=3", "train --model=x --num_train_epochs=3"),
        ("LLM/lora/lora_fine_tuning.py", "--model_name_or_path x --use_8bit", "train --model x --quantization 8bit"),
        ("LLM/lora/lora_finetuning.py", "--dataset-path x --max-seq-length 9", "train --dataset x --max_length 9"),
        ("LLM/lora/merge_lora.py", "--base_model_path a --lora_adapter_path b", "merge --base_model a --adapter b"),
        ("finetune/evaluate_model.py", "--lora-model x --interactive", "infer --mode interactive --checkpoint x"),
        ("finetune/evaluate_model.py", "--lora-model x --test-data y", "evaluate --checkpoint x --test-data y"),
        ("finetune/convert_to_gguf.py", "--model-path x --quantization Q8_0", "convert --model x --quantization Q8_0"),
        ("5_models/model_registry.py", "register --path x", "registry register --path x"),
        ("5_models/model_validator.py", "--model_path x", "registry validate --model_path x"),
        ("4_scripts/train.py", "--model -x --unknown", "train --model -x --unknown"),
    ],
)  # fmt: skip
def test_flags_of_the_seeds_are_translated(path: str, typed: str, expected: str) -> None:
    assert translate(SCRIPTS[path], typed.split()) == expected.split()


def test_a_script_finds_its_workspace_by_where_it_lies(tmp_path: Path) -> None:
    script, root = find_script(tmp_path / "LLM/lora/merge_lora.py")
    assert script is SCRIPTS["LLM/lora/merge_lora.py"] and root == tmp_path
    with pytest.raises(KeyError):
        find_script(tmp_path / "elsewhere/merge_lora.py")


# ---------------------------------------------------------------- the tree
def test_a_workspace_has_every_folder_and_file(tmp_path: Path) -> None:
    laid = lay_out(tmp_path / "new")
    root = laid.root
    assert laid.kept == ()
    for name in (*NUMBERED, *(f"5_models/{branch}" for branch in MODEL_TREE)):
        assert (root / name).is_dir()
    assert set(SCRIPTS) <= set(files(root)) and set(SCRIPTS) <= set(laid.written)
    assert (root / "6_output/training/logs/training.log").read_bytes() == b""
    assert (root / "requirements.txt").read_text(encoding="utf-8").startswith("mozhu[train,export]==")
    assert "*" in (root / "5_models/.gitignore").read_text(encoding="utf-8").splitlines()
    assert (files_root() / "0_configs").is_dir()


def test_laying_out_again_changes_nothing(tmp_path: Path) -> None:
    lay_out(tmp_path)
    before = files(tmp_path)
    times = {name: (tmp_path / name).stat().st_mtime_ns for name in before}
    again = lay_out(tmp_path)
    assert (again.written, again.kept) == ((), ())
    assert files(tmp_path) == before
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in before} == times
    assert make_runtime_folders(Workspace(tmp_path)) == []


def test_what_a_user_changed_is_kept_and_named(tmp_path: Path) -> None:
    lay_out(tmp_path)
    config = tmp_path / "0_configs/0_train_config.json"
    config.write_text('{"seed": 1}', encoding="utf-8")
    (tmp_path / "1_utils/mine.py").write_text("x = 1\n", encoding="utf-8")
    (tmp_path / "6_output/training/logs/training.log").write_text("a line\n", encoding="utf-8")
    (tmp_path / "4_scripts/train.py").unlink()
    before = files(tmp_path)
    laid = lay_out(tmp_path)
    assert laid.kept == ("0_configs/0_train_config.json",) and laid.written == ("4_scripts/train.py",)
    assert files(tmp_path) == {**before, "4_scripts/train.py": (ROOT / "4_scripts/train.py").read_bytes()}


def test_nothing_that_people_made_in_the_repository_is_shipped(tmp_path: Path) -> None:
    lay_out(tmp_path)
    made = [name for name in files(tmp_path) if name.startswith(("5_models/", "6_output/"))]
    allowed = {
        "5_models/.gitignore",
        "5_models/README.md",
        "6_output/README.md",
        "6_output/training/logs/training.log",
    }
    assert {name for name in made if not name.endswith(".py")} <= allowed
    assert not [name for name in files(tmp_path) if "__pycache__" in name]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for place in (Path("/proc/mozhu"), tmp_path / "file/workspace"):
        with pytest.raises(NotWritable):
            lay_out(place)
    assert os.listdir(tmp_path) and (tmp_path / "file").read_text(encoding="utf-8") == "mine"
