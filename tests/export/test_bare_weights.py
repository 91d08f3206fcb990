"""Weights without a model's settings: `mozhu verify` verifies what it can and says what it cannot."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mozhu.cli.main import main
from mozhu.engine.export.convert import run_convert
from mozhu.engine.export.verifying import run_verify
from mozhu.kernel.errors import SourceUnknown
from mozhu.kernel.files import sha256_file
from mozhu.kernel.paths import workspace_or_here
from mozhu.specs.certificates import VerifySpec
from mozhu.specs.export import ConvertSpec
from mozhu.specs.records.manifest import make_manifest
from mozhu.testing.tiny_models import make_tiny_model

CANNOT = {"no_certificate", "only_weights"}


def looked(path: Path, **fields: Any) -> Any:
    return run_verify(VerifySpec(model=str(path), **fields))


def codes(found: Any) -> set[str]:
    return {item.code for item in found.differences}


def test_a_file_alone_is_held_against_its_header_and_its_manifest(tmp_path, capsys) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.ones(4, 8), "b": torch.zeros(3)}, path)
    found = looked(path)
    assert not found.holds and codes(found) == {"no_record", *CANNOT}
    assert found.looked_at == {"headers": 1, "tensors": 2}
    make_manifest(tmp_path).write(tmp_path / "manifest.json")
    assert looked(path).holds and codes(looked(path)) == CANNOT
    assert main(["verify", str(tmp_path)]) == 0 and "config.json" in capsys.readouterr().out
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert codes(looked(path)) == {"manifest_sha256", *CANNOT}
    path.write_bytes(content[:-4])
    assert {"header", "manifest_size"} <= codes(looked(path))
    assert main(["verify", str(path), "--json"]) == 5
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "bare" and told["certificate"] is None and not told["holds"]


def test_a_gguf_file_alone_too(tmp_path) -> None:
    base = make_tiny_model(tmp_path / "base", "qwen2")
    spec = ConvertSpec(model=str(base), quantization="Q8_0", output_path=str(tmp_path / "x.gguf"))
    run_convert(spec, tmp_path / "run", lambda *_, **__: None)
    (tmp_path / "alone").mkdir()
    path = Path(shutil.copy(tmp_path / "x.gguf", tmp_path / "alone"))
    assert codes(looked(path)) == {"no_record", *CANNOT} and looked(path).looked_at["tensors"] == 26
    assert codes(looked(path.parent)) == {"no_record", *CANNOT}, "the only one in its folder"
    path.write_bytes(path.read_bytes()[:-64])
    assert "header" in codes(looked(path))


def test_what_was_made_from_a_pickle_is_measured_again_wherever_the_pickle_lies(tmp_path, certified) -> None:
    pickle = tmp_path / "model.ckpt"
    torch.save({"state_dict": {"a": torch.arange(6.0), "b": torch.ones(2, 2)}}, pickle)
    safe = tmp_path / "safe"
    spec = ConvertSpec(model=str(pickle), format="safetensors", output_path=str(safe), dtype="float16")
    run_convert(spec, tmp_path / "run", lambda *_, **__: None)
    assert looked(safe).holds and codes(looked(safe)) == {"only_weights"}
    assert looked(safe / "model.safetensors").artefact == safe, "the folder's certificate speaks of it"
    assert looked(safe, deep=True).measured.passed
    digest = sha256_file(pickle).removeprefix("sha256:")
    blob = workspace_or_here().models / "blobs" / "sha256" / digest[:2] / digest
    blob.parent.mkdir(parents=True)
    shutil.move(pickle, blob)
    assert looked(safe, deep=True).holds and looked(safe, deep=True).measured.kind == "weights"
    shutil.copy(blob, tmp_path / "given.ckpt")
    assert looked(safe, deep=True, source=str(tmp_path / "given.ckpt")).holds
    values = load_file(safe / "model.safetensors")
    save_file({**values, "a": values["a"] + 1}, safe / "model.safetensors", metadata={"format": "pt"})
    found = looked(safe, deep=True)
    assert {"file_other", "tensor_other", "fingerprint", "check_again", "manifest_sha256"} <= codes(found)
    blob.unlink()
    with pytest.raises(SourceUnknown):
        looked(safe, deep=True)
