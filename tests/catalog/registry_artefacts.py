"""Small real artefacts, written byte by byte: a model, an adapter, a GGUF file and a run."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.limits import REQUIRED, RULES
from mozhu.specs.records.manifest import ManifestFile, make_manifest
from mozhu.specs.records.result import Artefact, Metric, Result
from mozhu.specs.records.run import RunInput, RunSpec
from mozhu.specs.records.sidecars import ABOUT


def write_safetensors(path: Path, shapes: dict[str, tuple[int, ...]], seed: int = 0) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for number, (name, shape) in enumerate(shapes.items()):
        count = 1
        for length in shape:
            count *= length
        values = [((seed * 31 + number * 7 + index) % 97) / 97 for index in range(count)]
        content = struct.pack(f"<{count}f", *values)
        header[name] = {
            "dtype": "F32",
            "shape": list(shape),
            "data_offsets": [len(data), len(data) + len(content)],
        }
        data += content
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")


def write_model(folder: Path, seed: int = 0, model_type: str = "qwen2") -> Path:
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {"model_type": model_type, "architectures": ["Any"], "hidden_size": 8})
    write_json(folder / "tokenizer.json", {"version": "1.0"})
    write_json(folder / "tokenizer_config.json", {"chat_template": "{{ messages }}"})
    write_safetensors(folder / "model.safetensors", {"embed.weight": (16, 8), "norm.weight": (8,)}, seed)
    return folder


def write_adapter(folder: Path, seed: int = 0, rank: int = 4) -> Path:
    folder.mkdir(parents=True)
    settings = {"peft_type": "LORA", "r": rank, "lora_alpha": 8, "base_model_name_or_path": "starter"}
    write_json(folder / "adapter_config.json", settings)
    write_json(folder / "base.json", {"ref": "starter", "fingerprint": "sha256:" + "0" * 64})
    names = {"base.q_proj.lora_A.weight": (rank, 8), "base.q_proj.lora_B.weight": (8, rank)}
    write_safetensors(folder / "adapter_model.safetensors", names, seed)
    return folder


def certify(folder: Path, *, ok: bool = True) -> None:
    """A manifest, and a certificate of these files with every check that its kind needs."""
    manifest = make_manifest(folder)
    manifest.write(folder / "manifest.json")
    sealed(kind_of(folder), manifest.files, ok=ok).write(folder / "certificate.json")


def sealed(kind: str, files: list[ManifestFile], *, ok: bool = True) -> Certificate:
    checks = [passing(choices[0], kind) for choices in REQUIRED[kind]]
    if not ok:
        least = next(check for check in checks if RULES[check.name].direction == "at_least")
        name = "adapter_effect" if kind == "adapter" else least.name
        checks = [item if item.name != name else Check.of(name, 0.0, kind) for item in checks]
    listed = [file for file in files if file.path not in ABOUT]
    passed = all(check.ok for check in checks)
    return Certificate(kind=kind, checks=checks, passed=passed, files=listed).sealed()


def passing(name: str, kind: str) -> Check:
    """A check with a value that holds."""
    rule = RULES[name]
    if rule.direction == "equal":
        value: Any = True if rule.limit is True else "[2]"
        return Check(name=name, value=value, limit=value, ok=True)
    return Check.of(name, 0 if rule.direction == "at_most" else 1.4, kind)


def kind_of(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return "adapter"
    return "gguf" if any(folder.glob("*.gguf")) else "full"


def write_run(folder: Path, seed: int = 0, *, state: str = "succeeded", ok: bool = True) -> Path:
    write_adapter(folder / "lora_adapter", seed)
    certify(folder / "lora_adapter", ok=ok)
    RunSpec(
        verb="train",
        run="starter-medical-lora-20261121",
        created="2026-11-21T08:00:00.120Z",
        fields={"model": "starter", "dataset": "medical_qa", "train_type": "lora"},
        origins={},
        inputs=[RunInput(role="base", ref="starter:v1"), RunInput(role="data", ref="medical_qa:v3")],
    ).write(folder / "spec.json")
    Result(
        state=state,  # type: ignore[arg-type]
        artefacts=[Artefact(kind="adapter", path="lora_adapter")],
        metrics={"perplexity": Metric(value=8.31, n=100), "bleu": Metric(value=float("nan"))},
    ).write(folder / "result.json")
    lines = [{"kind": "step", "step": step, "loss": 2.0} for step in (1, 2, 40)]
    (folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def write_gguf(path: Path, architecture: str = "llama", seed: int = 0) -> Path:
    def string(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    content = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    content += string("general.architecture") + struct.pack("<I", 8) + string(architecture)
    content += string("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + string("a") + string("b")
    content += string("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, 4, 8, 0)
    content += b"\0" * (-len(content) % 32) + bytes((seed + index) % 256 for index in range(34 * 4))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
