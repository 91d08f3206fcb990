"""What is handed in becomes a version with everything that was recognised, or fails with every finding."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from importing import Installation, files_below, tokenizer_files, zipped
from registry_artefacts import write_adapter, write_gguf, write_model

from corpus.hostile.payload import COMMAND, called, named, pickle, words
from mozhu.platform.accounts.subject import LOCAL_ADMIN
from mozhu.specs.records.certificate import Certificate


def registration(shared: Installation, reference: str) -> dict[str, Any]:
    version = shared.services.registry.version(reference)
    folder = shared.services.registry.folder_of(version)
    told: dict[str, Any] = json.loads((folder / "registration.json").read_text(encoding="utf-8"))
    return told


def checkpoint(path: Path) -> bytes:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}, path)
    return path.read_bytes()


def test_a_zip_of_the_printed_shape_becomes_v1(shared: Installation, tmp_path: Path) -> None:
    """A64: config.json, pytorch_model.bin, tokenizer.json, tokenizer_config.json in one folder."""
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "license": "llama3"}
    inside = {
        "config.json": json.dumps(config).encode(),
        "pytorch_model.bin": checkpoint(tmp_path / "x.bin"),
        **tokenizer_files(),
    }
    packed = zipped({f"llama-3-8b/{name}": content for name, content in inside.items()})
    done = shared.taken("Llama-3-8B", {"llama-3-8b.zip": packed}, notes="Meta开源的大语言模型", tags=("llm",))
    assert (done.reference, done.state, shared.codes(done)) == ("Llama-3-8B:v1", "ready", set())
    facts = {name: done.recognised[name] for name in ("kind", "architecture", "parameters", "licence")}
    assert facts == {
        "kind": "model",
        "architecture": "LlamaForCausalLM",
        "parameters": 8,
        "licence": "llama3",
    }
    version = shared.services.registry.version("Llama-3-8B:v1")
    assert (version.state, version.certified, version.notes) == ("ready", True, "Meta开源的大语言模型")
    assert version.tags == ("llm",) and version.path == "pretrained/llama/Llama-3-8B/v1"
    names = {file.path for file in shared.services.registry.files(version)}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert registration(shared, "Llama-3-8B:v1")["recognised"] == done.recognised
    model = shared.services.registry.show("Llama-3-8B").model
    assert (model.type, model.licence) == ("text", "llama3")
    assert shared.happened(done) == ["import.checking", "import.ready"]
    assert shared.runs() == []


def test_a_folder_of_safetensors_keeps_its_bytes(shared: Installation, tmp_path: Path) -> None:
    files = files_below(write_model(tmp_path / "m"))
    done = shared.taken("Qwen-2K", files)
    assert done.state == "ready", done.findings
    version = shared.services.registry.version("Qwen-2K:v1")
    folder = shared.services.registry.folder_of(version)
    assert {name: (folder / name).read_bytes() for name in files} == files
    certificate = Certificate.read(folder / "certificate.json")
    assert certificate.kind == "handed_in" and certificate.passed and certificate.fingerprint["whole"]
    assert (done.recognised["dtype"], done.recognised["has_template"]) == ("float32", True)
    assert shared.services.registry.validate("Qwen-2K:v1").is_whole


def test_one_gguf_file(shared: Installation, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "small.gguf")
    done = shared.taken("small-1K", {"small.gguf": path.read_bytes()})
    assert (done.state, done.recognised["kind"]) == ("ready", "gguf"), done.findings
    version = shared.services.registry.version("small-1K:v1")
    assert (version.kind, version.state) == ("gguf", "ready")


def test_an_adapter_meets_its_base_by_fingerprint_by_wish_and_by_name(
    shared: Installation, tmp_path: Path
) -> None:
    shared.taken("base-1K", files_below(write_model(tmp_path / "base", seed=5)))
    base = shared.services.registry.version("base-1K:v1")
    folder = shared.services.registry.folder_of(base)
    whole = Certificate.read(folder / "certificate.json").fingerprint["whole"]
    files = files_below(write_adapter(tmp_path / "a", seed=6))
    printed = {**files, "base.json": json.dumps({"ref": "/gone", "fingerprint": {"whole": whole}}).encode()}
    settings = json.loads(files["adapter_config.json"])
    plain = {name: content for name, content in files.items() if name != "base.json"}
    called_ = {
        **plain,
        "adapter_config.json": json.dumps({**settings, "base_model_name_or_path": "org/base-1K"}).encode(),
    }
    cases = {"by-print": (printed, ""), "by-wish": (plain, "base-1K"), "by-name": (called_, "")}
    for name, (given, wish) in cases.items():
        done = shared.taken(name, given, base=wish)
        assert done.state == "ready", done.findings
        version = shared.services.registry.version(f"{name}:v1")
        assert (version.kind, version.base_model) == ("adapter", "base-1K:v1"), name
        assert version.path.startswith("finetuned/lora/")
        family = shared.services.models.family(f"{name}:v1")
        assert any(
            (edge.source.reference, edge.relation) == ("base-1K:v1", "base") for edge in family.edges
        ), name


@pytest.mark.slow
def test_a_pth_by_itself(shared: Installation, tmp_path: Path) -> None:
    done = shared.taken("weights", {"model.pth": checkpoint(tmp_path / "m.pth")})
    assert (done.state, done.recognised["kind"]) == ("ready", "weights"), done.findings
    version = shared.services.registry.version("weights:v1")
    assert (version.kind, version.state) == ("weights", "ready")
    assert [file.path for file in shared.services.registry.files(version)] == ["model.safetensors"]


def test_an_image_model_and_a_file_that_is_none(shared: Installation, tmp_path: Path) -> None:
    files = files_below(write_model(tmp_path / "m", seed=9))
    image = {name: files[name] for name in ("config.json", "model.safetensors")}
    image |= {"preprocessor_config.json": b"{}", "example.webp": b"RIFF0000WEBP", "run.py": b"print(1)"}
    done = shared.taken("vit", {"vit.zip": zipped({f"vit/{n}": c for n, c in image.items()})}, type="image")
    assert done.state == "ready", done.findings
    version = shared.services.registry.version("vit:v1")
    assert {file.path for file in shared.services.registry.files(version)} == set(image)
    assert shared.services.registry.show("vit").model.type == "image"
    table = shared.taken("prices", {"prices.parquet.note": b"\x01\x02binary"}, type="file")
    assert (table.state, table.recognised["kind"]) == ("ready", "files"), table.findings
    found = shared.services.registry.version("prices:v1")
    assert (found.kind, found.state) == ("files", "ready")
    assert [file.path for file in shared.services.registry.files(found)] == ["prices.parquet.note"]


def test_rows_are_rebuilt_from_what_imports_left(shared: Installation, tmp_path: Path) -> None:
    shared.taken(
        "notes", {"a/b.bin.txt": b"x", "a/c.txt": b"y"}, type="file", licence="mit", notes="两个文件"
    )
    before = shared.services.registry.fingerprint()
    report = shared.services.registry.rescan()
    assert not report.refused and not report.failed
    assert shared.services.registry.fingerprint() == before
    assert shared.services.registry.show("notes").model.licence == "mit"
    assert shared.services.registry.version("notes:v1").state == "ready"


def bomb() -> bytes:
    return zipped({"model.safetensors": b"\0" * (64 << 20)})


def outside() -> bytes:
    return zipped({"../../etc/evil.json": b"{}", "config.json": b"{}"})


HOSTILE = {
    "pickle": ("model.bin", pickle(called(named("os", "system"), words(COMMAND))), "SAFE-101"),
    "bomb": ("bomb.zip", bomb(), "SAFE-1"),
    "outside": ("outside.zip", outside(), "SAFE-111"),
    "nothing": ("readme.txt", b"hello", "SAFE-135"),
    "torn": ("model.safetensors", struct.pack("<Q", 99) + b"{}", "SAFE-131"),
}


@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize("kind", ["text", "file"])
def test_what_is_hostile_fails_with_its_finding(shared: Installation, what: str, kind: Any) -> None:
    name, content, code = HOSTILE[what]
    if (what, kind) == ("nothing", "file"):
        pytest.skip("a text is a file")
    done = shared.taken(f"bad-{what}-{kind}", {name: content}, type=kind)
    assert done.state == "failed" and done.finished
    assert any(found.startswith(code) for found in shared.codes(done)), done.findings
    told = done.to_json()["findings"]
    assert all(finding["message"] for finding in told)
    assert not shared.services.registry.has_model(f"bad-{what}-{kind}") and shared.runs() == []
    assert not (shared.root / "etc").exists()
    # The name is free again.
    assert shared.services.models.suggest(f"bad-{what}-{kind}", subject=LOCAL_ADMIN) == "v1"
