"""``mozhu inspect`` as a person and the platform use it, and what the shut-in process cannot do."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import mozhu
import mozhu.engine.intake.inspect as room
from corpus.hostile.payload import COMMAND, called, named, pickle, words
from mozhu.cli.main import main
from mozhu.engine.intake.inspect import run_inspect
from mozhu.kernel.errors import UnsafeUpload
from mozhu.specs.inspect import InspectSpec
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.certificate_rules import objections
from mozhu.specs.records.manifest import Manifest, manifest_problems

torch = pytest.importorskip("torch")
_INSIDE = Path(room.__file__).parent / "inside"


def _zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def _checkpoint(path: Path) -> bytes:
    torch.save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}, path)
    return path.read_bytes()


def _run(path: Path, folder: Path, **fields: Any) -> dict[str, Any]:
    events: list[dict[str, Any]] = []
    folder.mkdir(exist_ok=True)
    spec = InspectSpec(path=str(path), **fields)
    return run_inspect(spec, folder, lambda kind, **told: events.append(told)).details


def test_a_zip_of_a_model_comes_out_as_safetensors(tmp_path: Path) -> None:
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "auto_map": {"AutoModel": "m.M"}}
    files = {
        "llama-3-8b/config.json": json.dumps(config).encode(),
        "llama-3-8b/pytorch_model.bin": _checkpoint(tmp_path / "x.bin"),
        "llama-3-8b/README.md": b"---\nlicense: Apache-2.0\n---\n",
        "llama-3-8b/m.py": b"import os",
        "llama-3-8b/training_args.bin": b"\x80\x02c",
    }
    details = _run(_zip(tmp_path / "m.zip", files), tmp_path / "run")
    assert details["verdict"] == "clean"
    told = {
        name: details[name] for name in ("kind", "architecture", "family", "parameters", "dtype", "licence")
    }
    assert told == {
        "kind": "model",
        "architecture": "LlamaForCausalLM",
        "family": "llama",
        "parameters": 8,
        "dtype": "float32",
        "licence": "apache-2.0",
    }
    place = tmp_path / "run" / details["model"]
    names = ["README.md", "certificate.json", "config.json", "manifest.json", "model.safetensors"]
    assert sorted(path.name for path in place.iterdir()) == names
    certificate = Certificate.read(place / "certificate.json")
    assert certificate.kind == "weights" and certificate.passed and not objections(certificate)
    assert [item["name"] for item in certificate.made_from] == ["pytorch_model.bin"]
    assert not manifest_problems(place, Manifest.read(place / "manifest.json"))
    assert {f["code"] for f in details["findings"]} >= {"SAFE-201", "SAFE-202"}
    assert {"network", "limits", "privileges"} <= set(details["protections"]) or sys.platform != "linux"


def test_a_refused_upload_exits_with_six_and_names_what_it_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path))
    Path("model.bin").write_bytes(pickle(called(named("os", "system"), words(COMMAND))))
    assert main(["inspect", "model.bin", "--output_dir", "run", "--lang", "en"]) == 6
    assert "os.system" in capsys.readouterr().err
    assert json.loads(Path("run/result.json").read_text())["details"]["verdict"] == "refused"
    with pytest.raises(UnsafeUpload, match=r"os\.system"):
        mozhu.inspect("model.bin", output_dir="again", quiet=True)


def test_without_torch_a_pickle_is_told_with_the_extra_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "has_torch", lambda: False)
    _checkpoint(tmp_path / "x.bin")
    details = _run(tmp_path / "x.bin", tmp_path / "run")
    needed = [finding for finding in details["findings"] if finding["code"] == "SAFE-203"]
    assert needed[0]["params"]["extra"] == "train" and details["kind"] == "checkpoint"


def test_the_room_needs_no_torch(tmp_path: Path) -> None:
    code = "import sys, mozhu.engine.intake.inspect; assert not {'torch', 'numpy', 'safetensors'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


_TRIES = {
    "read a secret": "open('/etc/shadow').read()",
    "open a socket": "socket.socket()",
    "start a program": "os.execv('/bin/true', ['true'])",
    "start a process": "os.fork()",
    "write a file": "open(os.path.join(sys.argv[1], 'x'), 'w')",
    "remove a file": "os.unlink(sys.argv[2])",
    "end another process": "os.kill(os.getppid(), 0)",
    "take all memory": "bytearray(1 << 34)",
    "become root again": "os.setuid(0)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="the filter of system calls is Linux's")
@pytest.mark.parametrize("what", _TRIES)
def test_the_shut_in_process_cannot(what: str, tmp_path: Path) -> None:
    """Each is tried with all protections; on a machine that lacks one, the others have to hold."""
    victim = tmp_path / "victim"
    victim.write_text("here")
    victim.chmod(0o666)
    tmp_path.chmod(0o777)
    code = (
        f"import sys, os, socket\nsys.path.insert(0, {str(_INSIDE)!r})\nimport shut_in\nshut_in.leave_network()\n"
        "reached = shut_in.shut({'memory_bytes': 1 << 30, 'cpu_seconds': 20, 'written_bytes': 1000})\n"
        "if 'calls' not in reached: os.write(1, b'lacking'); os._exit(0)\n"
        f"try:\n    {_TRIES[what]}\nexcept (OSError, MemoryError):\n    os.write(1, b'refused')\n"
    )
    words_ = [sys.executable, "-I", "-c", code, str(tmp_path), str(victim)]
    done = subprocess.run(words_, capture_output=True, timeout=60)
    if done.stdout == b"lacking":
        pytest.skip("this machine has no filter of system calls")
    assert done.stdout == b"refused", done.stderr.decode()[-500:]
    assert victim.read_text() == "here"
