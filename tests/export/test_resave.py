"""Safetensors anew: other files, another type of numbers, out of pickles; the same model, proved, and resumable."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from models import make_adapter, make_model, tensors
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mozhu.engine.export import stream
from mozhu.engine.export.certifying import run_certify
from mozhu.engine.export.convert import run_convert
from mozhu.engine.export.verifying import run_verify
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.kernel.errors import InvalidSpec, NotConvertible, OutputInsideInput, TargetExists
from mozhu.kernel.paths import workspace_or_here
from mozhu.specs.certificates import CertifySpec, VerifySpec
from mozhu.specs.export import ConvertSpec
from mozhu.specs.layers import Layers, resolve
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.certificate_rules import objections
from mozhu.specs.records.manifest import Manifest, manifest_problems

torch.set_num_threads(1)


def resave(source: Path, target: Path, **fields: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    folder = target.parent / "run"
    folder.mkdir(exist_ok=True, parents=True)
    spec = ConvertSpec(model=str(source), format="safetensors", output_path=str(target), **fields)
    done = run_convert(spec, folder, lambda kind, **told: events.append({"kind": kind, **told}))
    assert not {path.name for path in folder.iterdir()} & {"safe", "given"}
    return done.details, events


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "llama"
    return make_model(place, "llama", dtype=torch.float32, initializer_range=0.04)


@pytest.fixture
def certificate(certified: None) -> Any:
    """Reads the certificate of a folder, which nothing may be said against."""

    def read(folder: Path) -> Certificate:
        found = Certificate.read(folder / "certificate.json")
        assert found.passed and not objections(found)
        assert not manifest_problems(folder, Manifest.read(folder / "manifest.json"))
        return found

    return read


def test_other_shards_are_those_of_save_pretrained(model: Path, tmp_path: Path, certificate: Any) -> None:
    details, events = resave(model, tmp_path / "cut", max_shard_size="200KB")
    theirs = tmp_path / "theirs"
    AutoModelForCausalLM.from_pretrained(model, dtype="auto").save_pretrained(theirs, max_shard_size="200KB")
    index = "model.safetensors.index.json"
    ours = json.loads((tmp_path / "cut" / index).read_text())
    assert set(ours["weight_map"]) == set(json.loads((theirs / index).read_text())["weight_map"])
    assert len(details["files"]) > 2
    assert all((tmp_path / "cut" / name).stat().st_size < 204_000 + 4096 for name in details["files"])
    assert fingerprint(tmp_path / "cut") == fingerprint(model)
    made = certificate(tmp_path / "cut")
    assert made.kind == "conversion" and made.made_from[0]["role"] == "source"
    assert run_verify(VerifySpec(model=str(tmp_path / "cut"))).holds
    assert events[-1]["step"] == events[-1]["total"]
    resave(tmp_path / "cut", tmp_path / "whole", max_shard_size="2GB")  # and back
    assert fingerprint(tmp_path / "whole") == fingerprint(model)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_another_type_is_each_number_rounded_once(
    model: Path, tmp_path: Path, dtype: str, certificate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_MOST_VALUES", 1000)  # several blocks a tensor, with a rest
    resave(model, tmp_path / "half", dtype=dtype)
    before, after = tensors(model), tensors(tmp_path / "half")
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert torch.equal(value.to(getattr(torch, dtype)), after[name]), name
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "half", dtype="auto")
    assert loaded.dtype == getattr(torch, dtype)
    assert certificate(tmp_path / "half").kind == "conversion"


def test_numbers_that_the_new_type_cannot_hold_are_named(tmp_path: Path) -> None:
    save_file({"w": torch.tensor([1.0, 7e4])}, tmp_path / "w.safetensors")
    with pytest.raises(NotConvertible) as caught:
        resave(tmp_path / "w.safetensors", tmp_path / "out", dtype="float16")
    assert "`w`" in caught.value.what and "7e+04" in caught.value.what
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))
    resave(tmp_path / "w.safetensors", tmp_path / "out", dtype="bfloat16")
    assert load_file(tmp_path / "out" / "w.safetensors")["w"].dtype == torch.bfloat16


@pytest.mark.parametrize("name", ["pytorch_model.bin", pytest.param("", id="folder", marks=pytest.mark.slow)])
def test_pickles_become_safetensors_with_proof(
    model: Path, tmp_path: Path, name: str, certificate: Any
) -> None:
    """A folder of pickles, and one file of it with its settings beside (seed 000's ``--input ./model.bin``)."""
    old = tmp_path / "old"
    old.mkdir()
    for path in model.iterdir():
        if path.suffix != ".safetensors":
            (old / path.name).write_bytes(path.read_bytes())
    torch.save(tensors(model), old / "pytorch_model.bin")
    details, _ = resave(old / name, tmp_path / "safe")
    assert details["pickles"] == ["pytorch_model.bin"]
    assert fingerprint(tmp_path / "safe") == fingerprint(model)
    made = certificate(tmp_path / "safe")
    assert made.kind == "conversion" and made.check("tensors_equal").value == 0
    assert [item["role"] for item in made.made_from] == ["pickle"]
    assert run_verify(VerifySpec(model=str(tmp_path / "safe"))).holds
    elsewhere = workspace_or_here().output / "run" / "given"
    elsewhere.mkdir(parents=True)
    shutil.move(old / "pytorch_model.bin", elsewhere)
    again = run_verify(VerifySpec(model=str(tmp_path / "safe"), deep=True))
    assert again.holds and again.measured is not None, [item.words for item in again.differences]
    assert {"max_abs_logit_difference", "tensors_equal"} <= {check.name for check in again.measured.checks}


@pytest.mark.parametrize(
    "ending", ["ckpt", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bin", "pt", "pth"))]
)
def test_weights_alone_are_proved_tensor_by_tensor(tmp_path: Path, ending: str, certificate: Any) -> None:
    values = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.int64)}
    torch.save({"state_dict": values, "epoch": 3}, tmp_path / f"model.{ending}")
    resave(tmp_path / f"model.{ending}", tmp_path / "safe", dtype="float16")
    made = load_file(tmp_path / "safe" / "model.safetensors")
    assert torch.equal(made["a"], values["a"].half()) and torch.equal(made["b"], values["b"])
    found = certificate(tmp_path / "safe")
    assert found.kind == "weights" and [file.path for file in found.files] == [
        "convert.json",
        "model.safetensors",
    ]


@pytest.mark.slow
def test_an_adapter_stays_an_adapter(model: Path, tmp_path: Path, certificate: Any) -> None:
    adapter = make_adapter(tmp_path / "adapter", model)
    torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
    (adapter / "adapter_model.safetensors").rename(tmp_path / "before.safetensors")
    resave(adapter, tmp_path / "safe")
    before, after = load_file(tmp_path / "before.safetensors"), tensors(tmp_path / "safe")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert certificate(tmp_path / "safe").passed
    with pytest.raises(NotConvertible):
        resave(tmp_path / "safe", tmp_path / "cut", max_shard_size="1GB")


def test_a_stopped_conversion_goes_on(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, real, count = tmp_path / "cut", stream.write_shard, [0]

    def stopping(*args: Any, **more: Any) -> str:
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return real(*args, **more)

    monkeypatch.setattr(stream, "write_shard", stopping)
    with pytest.raises(KeyboardInterrupt):
        resave(model, target, max_shard_size="200KB")
    monkeypatch.setattr(stream, "write_shard", real)
    assert not target.exists()
    details, _ = resave(model, target, max_shard_size="200KB")
    assert details["reused_shards"] == 2 and fingerprint(target) == fingerprint(model)


def test_a_lie_about_a_tensor_fails_the_certificate(tmp_path: Path) -> None:
    from mozhu.engine.scoring.certificates_unpickled import certify_unpickled
    from mozhu.engine.scoring.certificates_weights import certify_weights

    for name, value in (("one", 1.0), ("other", 2.0)):
        (tmp_path / name).mkdir()
        save_file({"w": torch.full((4,), value)}, tmp_path / name / "model.safetensors")
    one, other = (tmp_path / name / "model.safetensors" for name in ("one", "other"))
    assert certify_weights([one], [one], one.parent, []).passed
    assert [c.name for c in certify_weights([one], [other], other.parent, []).checks if not c.ok] == [
        "tensors_equal"
    ]
    lied = certify_unpickled(one.parent, {one.name: {"w": "0" * 64}}, [])
    assert [c.name for c in lied.checks if not c.ok] == ["tensors_equal"]
    lost = certify_unpickled(one.parent, {one.name: {}}, [])
    assert [c.name for c in lost.checks if not c.ok] == ["tensors_matched"]
    save_file({"w": torch.tensor([1.0, float("nan")])}, one)
    assert not certify_weights([one], [one], one.parent, []).check("tensors_finite").ok


def test_certify_tells_how_far_it_is(model: Path, tmp_path: Path) -> None:
    resave(model, tmp_path / "half", dtype="bfloat16")
    steps: list[dict[str, Any]] = []
    done = run_certify(
        CertifySpec(model=str(tmp_path / "half"), source=str(model)),
        lambda kind, **told: steps.append(told),
    )
    assert done.certificate.passed
    rows = done.certificate.measured["rows"]
    assert len(steps) == 3 * rows and len({step["unit"] for step in steps}) == 3, "source, rounded, copy"
    assert [step["step"] for step in steps] == list(range(1, rows + 1)) * 3
    assert all(step["total"] == rows and step["eta_s"] >= 0 for step in steps) and steps[-1]["eta_s"] == 0


def test_bad_wishes_are_told_apart(model: Path, tmp_path: Path) -> None:
    def asked(**fields: Any) -> str:
        with pytest.raises(InvalidSpec) as caught:
            resolve(ConvertSpec, Layers({"model": str(model), **fields}))
        return str(caught.value.params["problems"])

    assert "ONNX" in asked(format="onnx", output_path="model.onnx")
    assert "--format safetensors" in asked(dtype="float16")
    assert "--format gguf" in asked(format="safetensors", create_modelfile=True)
    assert "output_path" in asked(format="safetensors", output_path="out/model.safetensors")
    with pytest.raises(OutputInsideInput):
        resave(model, model / "inside")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(TargetExists):
        resave(model, tmp_path / "full")
    (tmp_path / "evil.bin").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(NotConvertible) as caught:
        resave(tmp_path / "evil.bin", tmp_path / "out")
    assert "system" in caught.value.what and not (tmp_path / "out").exists()
