"""A workspace's own code is loaded, and a broken file is named with its line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mozhu.kernel import slots
from mozhu.kernel.errors import ExtensionBroken
from mozhu.kernel.paths import Workspace
from mozhu.workspace.extensions import load_extensions, module_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def clean_modules(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("_mozhu_extension_"):
            del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    def one(name: str, content: str) -> Path:
        path = tmp_path / "2_core" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    return one


REGISTER = "from mozhu.kernel.slots import register\nregister('mozhu.metrics', '{name}', object())\n"


def test_a_workspace_without_code_has_no_extensions(tmp_path):
    assert load_extensions(Workspace(tmp_path)) == []


def test_every_file_is_loaded_but_those_that_begin_with_an_underscore(tmp_path, write):
    write("b.py", REGISTER.format(name="of_b"))
    write("a.py", REGISTER.format(name="of_a"))
    write("_draft.py", "raise RuntimeError")
    write("notes.md", "text")
    assert load_extensions(Workspace(tmp_path)) == ["a", "b"]
    assert {"of_a", "of_b"} <= set(slots.names("mozhu.metrics"))


def test_loading_again_runs_nothing_twice(tmp_path, write):
    write("count.py", "import sys\nsys.argv.append('ran')\n")
    before = sys.argv.count("ran")
    try:
        assert load_extensions(Workspace(tmp_path)) == load_extensions(Workspace(tmp_path)) == ["count"]
        assert sys.argv.count("ran") == before + 1
    finally:
        sys.argv.remove("ran")


def test_a_file_named_like_a_library_hides_nothing(tmp_path, write):
    path = write(
        "json.py", "import json\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n"
    )
    load_extensions(Workspace(tmp_path))
    assert sys.modules["json"].__file__ != str(path) and module_name(path) in sys.modules


def test_the_same_name_in_two_workspaces_is_two_extensions(tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name / "2_core"
        folder.mkdir(parents=True)
        (folder / "metric.py").write_text(REGISTER.format(name=f"of_{name}"))
        load_extensions(Workspace(tmp_path / name))
    assert {"of_one", "of_two"} <= set(slots.names("mozhu.metrics"))


def test_an_extension_imports_the_toolbox_by_its_flat_names(tmp_path, write):
    shutil.copytree(ROOT / "1_utils", tmp_path / "1_utils", ignore=shutil.ignore_patterns("__pycache__"))
    write("mine.py", "from metrics import register_metric\nregister_metric('mine', lambda a, r: 1.0)\n")
    load_extensions(Workspace(tmp_path))
    assert "mine" in slots.names("mozhu.metrics")


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("x = 1\n\ndef f(:\n", 3, "SyntaxError"),
        ("x = 1\nimport no_such_library\n", 2, "ModuleNotFoundError: No module named 'no_such_library'"),
        ("def f():\n    return 1 / 0\n\nf()\n", 2, "ZeroDivisionError"),
        ("import json\njson.loads('{')\n", 2, "JSONDecodeError"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("import ast\nast.parse('x = (')\n", 2, "SyntaxError"),
        ("x = '\x00'\n", 1, "null bytes"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, write, content, line, reason):
    path = write("broken.py", content)
    with pytest.raises(ExtensionBroken) as caught:
        load_extensions(Workspace(tmp_path))
    assert f"`{path}` line {line}: " in caught.value.what and reason in caught.value.what
    assert (caught.value.code, caught.value.exit_code) == ("CORE-001", 3)
    assert module_name(path) not in sys.modules


def test_all_broken_files_are_listed_and_the_others_are_loaded(tmp_path, write):
    write("a.py", "1 / 0\n")
    write("b.py", REGISTER.format(name="of_b"))
    c = write("c.py", "def\n")
    with pytest.raises(ExtensionBroken) as caught:
        load_extensions(Workspace(tmp_path))
    assert caught.value.params["count"] == 2 and "of_b" in slots.names("mozhu.metrics")
    (tmp_path / "2_core" / "a.py").write_text("")
    c.write_text("")
    assert load_extensions(Workspace(tmp_path)) == ["a", "b", "c"]


def test_the_example_of_the_repository_is_a_metric():
    pytest.importorskip("sacrebleu")
    assert "example_metric" in load_extensions(Workspace(ROOT))
    metric = slots.load("mozhu.metrics", "length_ratio")
    found = metric.score([("一二", "一二三四"), ("ab cd", "abcd"), ("", "x"), ("", "")])
    assert found.rows == [0.5, 1.0, 0.0, 0.0] and metric.better == "higher"
    assert found.corpus == pytest.approx(0.375) and "shorter/longer" in found.signature
