"""A model comes from a hub once, whole and as the hub has it, and is used without a network from then on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from standin import Repository

from mozhu.engine.weights.hub_files import HubFile, chosen_files
from mozhu.engine.weights.references import find_model
from mozhu.testing import starter_path

pytest.importorskip("huggingface_hub")


def _starter() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(starter_path()).iterdir() if path.is_file()}


@pytest.fixture
def desk(desk: Any) -> Any:
    model = _starter()
    more = {
        "pytorch_model.bin": b"\x80\x04.",
        "modeling_own.py": b"raise SystemExit",
        "onnx/model.onnx": b"0",
    }
    desk.hub.repositories |= {
        "owner/model": Repository({**model, **more}, lfs={"model.safetensors"}),
        "owner/pickled": Repository({"config.json": b"{}", "pytorch_model.bin": b"\x80\x04."}),
        "owner/gguf": Repository({"README.md": b"# g\n", "a-Q4_K_M.gguf": b"GGUF", "a-Q8_0.gguf": b"GGUF"}),
        "owner/closed": Repository(model, gated=True, token="hf_of_a_member"),
    }
    return desk


def test_a_model_is_fetched_into_a_folder_that_needs_no_network(desk: Any) -> None:
    done = desk.type("download", "owner/model", "--output_dir", "./local_model_directory", "--quiet")
    assert done.returncode == 0, done.stderr
    folder = desk.root / "local_model_directory"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    record = json.loads((folder / "download.json").read_text())
    assert files == set(record["files"]) | {"download.json"}  # no pickle, no code, nothing of the library's
    assert "model.safetensors" in files and not {"pytorch_model.bin", "modeling_own.py"} & files
    assert record["commit"] == desk.hub.repositories["owner/model"].commit
    assert record["hub"] == desk.hub.address
    for name, content in _starter().items():
        if name in files:
            assert record["files"][name] == f"sha256:{hashlib.sha256(content).hexdigest()}"
            assert (folder / name).read_bytes() == content
    assert find_model(str(folder)).path == folder
    asked = len(desk.hub.downloads())
    again = desk.type("download", "owner/model", "--output_dir", "./local_model_directory", "--quiet")
    assert again.returncode == 0 and len(desk.hub.downloads()) == asked


def test_what_lies_in_the_target_is_never_overwritten(desk: Any) -> None:
    (desk.root / "mine").mkdir()
    (desk.root / "mine" / "config.json").write_text("mine")
    done = desk.type("download", "owner/model", "--output_dir", "mine", "--quiet")
    assert done.returncode != 0 and "FILE-007" in done.stderr
    assert (desk.root / "mine" / "config.json").read_text() == "mine"
    assert desk.hub.downloads() == []


def test_the_network_is_asked_only_where_that_is_allowed(desk: Any) -> None:
    desk.allowed = "none"
    refused = desk.type("download", "owner/model", "--output_dir", "m", "--quiet")
    assert refused.returncode == 4 and "ENV-003" in refused.stderr
    offline = desk.type(
        "download", "owner/model", "--hub", "huggingface", "--output_dir", "m", "--quiet", HF_HUB_OFFLINE="1"
    )
    assert offline.returncode == 4 and "ENV-003" in offline.stderr
    assert desk.hub.asked == [] and not (desk.root / "m").exists()
    named = desk.type("download", "owner/model", "--hub", "huggingface", "--output_dir", "m", "--quiet")
    assert named.returncode == 0, named.stderr


@pytest.mark.slow
def test_a_cached_model_becomes_a_folder_without_a_network(desk: Any) -> None:
    assert desk.type("download", "owner/model", "--quiet").returncode == 0
    asked = len(desk.hub.asked)
    done = desk.type("download", "owner/model", "--output_dir", "m", "--quiet", HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert (desk.root / "m" / "model.safetensors").read_bytes() == _starter()["model.safetensors"]
    assert json.loads((desk.root / "m" / "download.json").read_text())["commit"]
    assert len(desk.hub.asked) == asked


@pytest.mark.slow
def test_a_download_that_breaks_off_leaves_no_model_and_goes_on(desk: Any) -> None:
    desk.hub.cut = {"model.safetensors"}
    broken = desk.type("download", "owner/model", "--output_dir", "m", "--quiet")
    assert broken.returncode == 4 and "ENV-005" in broken.stderr and "broke off" in broken.stderr
    assert not (desk.root / "m").exists()
    cached = desk.type("download", "owner/model", "--quiet")
    assert cached.returncode == 4
    offline = desk.type("download", "owner/model", "--output_dir", "m", "--quiet", HF_HUB_OFFLINE="1")
    assert offline.returncode == 4 and "ENV-003" in offline.stderr  # half a cache is no model
    desk.hub.cut = set()
    before = [line for line in desk.hub.downloads() if line.endswith("tokenizer.json")]
    done = desk.type("download", "owner/model", "--output_dir", "m", "--quiet")
    assert done.returncode == 0, done.stderr
    assert [line for line in desk.hub.downloads() if line.endswith("tokenizer.json")] == before
    assert (desk.root / "m" / "model.safetensors").read_bytes() == _starter()["model.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize("place", [("--output_dir", "m"), ()])
def test_bytes_that_the_hub_does_not_know_are_refused_and_fetched_anew(
    desk: Any, place: tuple[str, ...]
) -> None:
    desk.hub.forged = {"model.safetensors"}
    forged = desk.type("download", "owner/model", *place, "--quiet")
    assert forged.returncode == 4 and "checksum" in forged.stderr and "model.safetensors" in forged.stderr
    assert not (desk.root / "m").exists()
    offline = desk.type("download", "owner/model", *place, "--quiet", HF_HUB_OFFLINE="1")
    assert offline.returncode == 4 and "ENV-003" in offline.stderr
    desk.hub.forged = set()
    done = desk.type("download", "owner/model", *place, "--quiet")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("owner/nothing",), "ENV-005", "no access"),
        (("owner/closed",), "ENV-005", "consent"),
        (("owner/model", "--revision", "v9"), "ENV-005", "`v9`"),
        (("owner/pickled",), "MODEL-005", "pytorch_model.bin"),
        (("owner/gguf",), "ENV-005", "--include"),
        (("no id",), "ENV-003", "no id"),
    ],
)
def test_what_cannot_be_had_is_one_clear_error(
    desk: Any, words: tuple[str, ...], code: str, told: str
) -> None:
    done = desk.type("download", *words, "--output_dir", "m", "--quiet")
    assert done.returncode in {4, 6} and code in done.stderr and told in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (desk.root / "m").exists()


@pytest.mark.slow
def test_a_commit_is_pinned_and_named_files_come_too(desk: Any) -> None:
    commit = desk.hub.repositories["owner/gguf"].commit
    words = ["download", "owner/gguf", "--revision", commit, "--include", "*Q4_K_M.gguf", "--output_dir", "g"]
    done = desk.type(*words, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["details"]["commit"] == commit
    assert sorted(path.name for path in (desk.root / "g").iterdir()) == [
        "README.md",
        "a-Q4_K_M.gguf",
        "download.json",
    ]


@pytest.mark.slow
def test_training_takes_a_model_from_the_hub_and_then_from_the_cache(desk: Any) -> None:
    words = ["train", "--model", "owner/model", "--dataset", "sample", "--max_steps", "1", "--device", "cpu"]
    first = desk.type(*words, "--output_dir", "one", "--quiet")
    assert first.returncode == 0, first.stderr
    asked = len(desk.hub.asked)
    second = desk.type(*words, "--output_dir", "two", "--quiet")
    assert second.returncode == 0, second.stderr
    assert len(desk.hub.asked) == asked
    desk.allowed = "none"
    third = desk.type("train", "--model", "owner/gguf", "--dataset", "sample", "--output_dir", "three")
    assert third.returncode == 4 and "ENV-003" in third.stderr and "mozhu download owner/gguf" in third.stderr


def test_of_a_repository_only_the_model_is_taken() -> None:
    names = [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "consolidated.safetensors",
        "pytorch_model.bin",
        "model.gguf",
        "modeling_x.py",
        "tokenizer.model",
        "merges.txt",
        "chat_template.jinja",
        "additional_chat_templates/tool_use.jinja",
        "original/params.json",
        "onnx/config.json",
        "LICENSE",
        ".gitattributes",
        "../outside.json",
    ]
    taken = {file.path for file in chosen_files([HubFile(name, 1) for name in names])}
    assert taken == set(names) - {
        "consolidated.safetensors",
        "pytorch_model.bin",
        "model.gguf",
        "modeling_x.py",
        "original/params.json",
        "onnx/config.json",
        ".gitattributes",
        "../outside.json",
    }
    adapter = [HubFile(name, 1) for name in ("adapter_config.json", "adapter_model.safetensors", "a.bin")]
    assert len(chosen_files(adapter)) == 2
    assert len(chosen_files(adapter, ["*.bin"])) == 3
