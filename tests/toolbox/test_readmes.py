"""The READMEs of the numbered folders and of the scripts say what is so: code runs, flags exist."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mozhu.cli.flags import parse_flags
from mozhu.cli.main import VERBS, find_verb
from mozhu.kernel.texts import page_texts
from mozhu.specs.base import Spec
from mozhu.specs.fields import Field, fields_of
from mozhu.workspace.scripts import SCRIPTS, find_script, translate

ROOT = Path(__file__).resolve().parents[2]
NUMBERED = ("0_configs", "1_utils", "2_core", "3_agents", "4_scripts", "5_models", "6_output")
FOLDERS = (*NUMBERED, "finetune", "LLM/lora")
# Where the flags of a script are listed, under which heading.
LISTED = {
    "finetune/create_sample_data.py": ("finetune", "## 1 "),
    "finetune/prepare_data.py": ("finetune", "## 2 "),
    "finetune/train_lora.py": ("finetune", "## 3 "),
    "finetune/evaluate_model.py": ("finetune", "## 4 "),
    "finetune/convert_to_gguf.py": ("finetune", "## 5 "),
    "LLM/lora/lora_fine_tuning.py": ("LLM/lora", "## 训练"),
    "LLM/lora/merge_lora.py": ("LLM/lora", "## 合并"),
}


def readme(folder: str) -> str:
    return (ROOT / folder / "README.md").read_text(encoding="utf-8")


def blocks(folder: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", readme(folder), re.MULTILINE | re.DOTALL)


def commands(folder: str) -> list[str]:
    """Every command of a README that is ours, in one line each."""
    lines = "".join(blocks(folder, "bash")).replace("\\\n", " ").splitlines()
    return [line for line in lines if re.match(r"(\w+=\S+ )*(python \S+\.py|mozhu)\b", line)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_has_a_readme_in_both_languages(folder):
    content = readme(folder)
    assert re.search("[\u4e00-\u9fff]{4}", content) and re.search(r"\b(the|a|of|is|are)\b", content)


@pytest.mark.parametrize("folder", [name for name in FOLDERS if "```python" in readme(name)])
def test_the_python_of_a_readme_runs(folder, tmp_path):
    code = "\n".join(blocks(folder, "python"))
    if "bleu" in code:
        pytest.importorskip("sacrebleu")
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "1_utils"),
        "MOZHU_WORKSPACE": str(ROOT),
        "PYTHONIOENCODING": "utf-8",
    }
    (tmp_path / "block.py").write_text(
        code, encoding="utf-8"
    )  # in a file: the disk cache asks for the source
    done = subprocess.run(
        [sys.executable, "block.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("folder", "line"), [(name, line) for name in FOLDERS for line in commands(name)])
def test_a_printed_command_is_understood(folder, line):
    words = [word for word in shlex.split(line, comments=True) if not re.match(r"[A-Z_]+=", word)]
    if words.pop(0) == "python":
        path = words.pop(0)
        script, _ = find_script(ROOT / path if "/" in path else ROOT / folder / path)
        words = translate(script, words)
    if words[0] in {"-h", "--help"}:
        return
    name, arguments = find_verb(words)
    command = importlib.import_module(VERBS[name]).COMMAND
    parse_flags(name, command.spec, command.switches, command.words, arguments)


@pytest.mark.parametrize("script", LISTED)
def test_every_flag_of_a_script_is_listed_with_its_default(script):
    folder, heading = LISTED[script]
    section = readme(folder).split(f"\n{heading}", 1)[1].split("\n## ", 1)[0]
    rows = {flag: row for row in section.splitlines() for flag in _flags_of_row(row)}
    for field in fields_of(_spec_of(script)):
        assert field.name in rows, f"{folder}/README.md does not list `--{field.name}` of {script}"
        assert f"| {_default(field)} |" in rows[field.name], f"`--{field.name}`: default is {_default(field)}"
        assert all(f"`{choice}`" in rows[field.name] for choice in field.choices[1:]), rows[field.name]
    for flag in SCRIPTS[script].flags:
        assert flag.removeprefix("--") in _flags_in(section), f"{folder}/README.md does not name `{flag}`"


def test_the_report_template_holds_what_the_checklist_asks_for():
    report = (ROOT / "finetune" / "training_report.md").read_text(encoding="utf-8")
    for word in ("正确性", "相关性", "完整性", "深度", "实用性", "验证 loss", "lora_rank", "perplexity"):
        assert word in report
    assert "training_report.md" in readme("finetune")


def test_every_text_of_the_toolbox_is_there_in_both_languages():
    for page in ("toolbox", "core"):
        chinese, english = page_texts("zh", page), page_texts("en", page)
        assert chinese.keys() == english.keys()
        for name, words in chinese.items():
            assert _places(words) == _places(english[name]), f"{page}.{name}"


def test_no_numbered_folder_is_a_package():
    assert not [name for name in NUMBERED if (ROOT / name / "__init__.py").exists()]


def test_the_printed_example_of_the_toolbox_runs_on_a_machine_without_a_gpu(tmp_path):
    """Seed 002, lines 168 to 181."""
    code = (
        "from logger import Logger\n"
        "from config_loader import ConfigLoader\n"
        "from gpu_manager import GPUManager\n"
        'logger = Logger("MyApp").get_logger()\n'
        "config_loader = ConfigLoader()\n"
        'config = config_loader.load_config("config.json")\n'
        "gpu_manager = GPUManager()\n"
        "gpu_info = gpu_manager.get_gpu_info()\n"
        "assert (config, gpu_info) == ({'a': 1}, [])\n"
    )
    (tmp_path / "config.json").write_text('{"a": 1}')
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "1_utils"), "PATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)


def _spec_of(script: str) -> type[Spec]:
    name, _ = find_verb(list(SCRIPTS[script].command))
    spec: type[Spec] = importlib.import_module(VERBS[name]).COMMAND.spec
    return spec


def _flags_of_row(row: str) -> list[str]:
    return [flag.replace("-", "_") for flag in re.findall(r"`--([\w-]+)`", row.split(" | ")[0])]


def _flags_in(section: str) -> set[str]:
    return {flag.replace("-", "_") for flag in re.findall(r"--(\w[\w-]*)", section)}


def _default(field: Field) -> str:
    if field.required:
        return "必填"
    if field.default in (None, ()):
        return "—"
    if isinstance(field.default, bool):
        return "是 on" if field.default else "否 off"
    return "全部 all" if isinstance(field.default, tuple) else f"`{field.default}`"


def _places(words: str) -> set[str]:
    return set(re.findall(r"(?<!{){(\w+)", words))
