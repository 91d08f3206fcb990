"""A dry run lists every file that the real one then writes; what cannot be merged is refused before a run begins."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mozhu.cli.main import main
from mozhu.engine.export.convert import run_convert
from mozhu.engine.export.merge import run_merge
from mozhu.kernel.files import read_json, write_json
from mozhu.specs.export import ConvertSpec, MergeSpec
from mozhu.testing.faults import (
    plant_other_prefix,
    plant_other_revision,
    plant_quantised_config,
    plant_renamed_modules,
    plant_resized_vocabulary,
)
from mozhu.testing.tiny_adapters import make_tiny_adapter
from mozhu.testing.tiny_models import make_tiny_model

# Said by a converter about a file that it has not written yet: the vocabulary's words are of many lengths.
_ABOUT = 0.1


def quiet(*_: object, **__: object) -> None:
    pass


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A base, and an adapter that recorded it."""
    root = tmp_path_factory.mktemp("pair")
    base = make_tiny_model(root / "base", "qwen2", template="chatml", dtype="bfloat16")
    return base, make_tiny_adapter(root / "adapter", base, record=True)


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    assert main([*words, "--dry_run", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["would_write"]


def differences(plan: dict, target: Path, about: float = 0.0) -> list[str]:
    """Names that one side lacks, sizes that are others; certificates are not made here."""
    listed = {file["name"]: file["size_bytes"] for file in plan["files"]}
    there = {path.name: path.stat().st_size for path in target.iterdir()}
    both = [(name, size, there[name]) for name, size in listed.items() if size and name in there]
    odd = [f"{name}: {size}, {found}" for name, size, found in both if abs(size - found) > about * size]
    return odd + sorted(listed.keys() ^ there.keys())


@pytest.mark.parametrize("cut", [[], ["--max_shard_size", "200KB"]])
def test_a_dry_merge_lists_what_the_merge_writes(pair, cut, tmp_path, capsys) -> None:
    base, adapter = pair
    target = tmp_path / "merged"
    words = ["--base_model", str(base), "--adapter", str(adapter), "--output_path", str(target), *cut]
    plan = told(["merge", *words], capsys)
    assert plan["certificate"] == "merge" and plan["target"] == str(target) and not list(tmp_path.iterdir())
    limit = {"max_shard_size": cut[1]} if cut else {}
    spec = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(target), **limit)
    done = run_merge(spec, tmp_path, quiet)
    assert differences(plan, target) == ["certificate.json"]
    assert plan["changed"] == done.details["changed"] and plan["tensors"] == done.details["tensors"]
    weights = [file for file in plan["files"] if file["types"]]
    assert sum(file["types"]["BF16"] for file in weights) == plan["tensors"] and len(weights) == (
        2 if cut else 1
    )


def test_a_dry_conversion_lists_what_it_writes_and_opens_no_pickle(pair, tmp_path, capsys) -> None:
    base, _ = pair
    fields = {"format": "safetensors", "dtype": "float32", "max_shard_size": "300KB"}
    words = [f"--{name}={value}" for name, value in fields.items()]
    target = tmp_path / "again"
    plan = told(["convert", "--model", str(base), "--output_path", str(target), *words], capsys)
    assert plan["certificate"] == "conversion" and not list(tmp_path.iterdir())
    run_convert(ConvertSpec(model=str(base), output_path=str(target), **fields), tmp_path / "run", quiet)
    changed = [name for name in differences(plan, target) if not name.startswith("config.json: ")]
    assert changed == ["certificate.json"]
    (tmp_path / "x.ckpt").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    plan = told(["convert", "--model", str(tmp_path / "x.ckpt"), "--format", "safetensors"], capsys)
    assert plan["pickles"] == ["x.ckpt"] and plan["certificate"] == "weights"
    assert plan["files"][0] == {"name": "x.safetensors", "size_bytes": None, "types": {}}


def test_a_dry_conversion_to_gguf_says_the_types_and_about_the_size(pair, tmp_path, capsys) -> None:
    base, _ = pair
    target = tmp_path / "gguf"
    words = ["convert", "--model", str(base), "--output_path", str(target), "--quantization", "Q8_0"]
    plan = told([*words, "--create_modelfile"], capsys)
    assert plan["certificate"] == "gguf" and not list(tmp_path.iterdir())
    spec = ConvertSpec(model=str(base), output_path=str(target), quantization="Q8_0", create_modelfile=True)
    done = run_convert(spec, tmp_path / "run", quiet)
    assert differences(plan, target, _ABOUT) == ["certificate.json"]
    assert plan["files"][0]["types"] == done.details["types"]
    assert main([*words, "--dry_run"]) == 0
    assert "base-Q8_0.gguf" in capsys.readouterr().out


def _mismatches(root: Path) -> dict[str, Callable[[Path, Path], Path | None]]:
    def fewer_merges(base: Path) -> None:
        value = read_json(base / "tokenizer.json")
        value["model"]["merges"].pop()
        write_json(base / "tokenizer.json", value)

    return {
        "revision": lambda _, base: plant_other_revision(base),
        "prefix": lambda adapter, _: plant_other_prefix(adapter, "model."),
        "tokenizer": lambda _, base: fewer_merges(base),
        "width": lambda _, base: make_tiny_model(root / "wide", "qwen2", hidden=128),
        "layers": lambda _, base: make_tiny_model(root / "deep", "qwen2", layers=1),
        "modules": lambda adapter, _: plant_renamed_modules(adapter),
        "quantised": lambda _, base: plant_quantised_config(base),
        "vocabulary": lambda _, base: plant_resized_vocabulary(base),
    }


def test_eight_mismatches_are_refused_before_a_run_begins_and_torch_is_loaded(pair, tmp_path) -> None:
    asked = []
    for name, change in _mismatches(tmp_path).items():
        adapter = Path(shutil.copytree(pair[1], tmp_path / name / "adapter"))
        base = Path(shutil.copytree(pair[0], tmp_path / name / "base"))
        base = change(adapter, base) or base
        out = str(tmp_path / name / "out")
        asked.append(["merge", "--base_model", str(base), "--adapter", str(adapter), "--output_path", out])
    code = (
        "import json, sys\nfrom mozhu.cli.main import main\n"
        "codes = [main(words) for words in json.loads(sys.argv[1])]\n"
        "loaded = [name for name in ('torch', 'transformers', 'peft') if name in sys.modules]\n"
        "print(json.dumps([codes, loaded]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(asked)], cwd=tmp_path, capture_output=True, text=True
    )
    codes, loaded = json.loads(done.stdout.splitlines()[-1])
    assert len(codes) == 8 and all(codes) and loaded == [], done.stderr
    assert not list(tmp_path.rglob("result.json")) and not list(tmp_path.rglob("out")), "no run was begun"
