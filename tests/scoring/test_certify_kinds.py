"""Certificates of copies: in another layout, in another type of numbers, quantised; and a real row counts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mozhu import api
from mozhu.cli.main import main
from mozhu.engine.scoring.certificates import certify_adapter
from mozhu.engine.scoring.certificates_same import certify_conversion, found_model
from mozhu.engine.scoring.reference import quantise_weights, round_weights
from mozhu.kernel.errors import MissingCertificate, SourceUnknown
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.limits import gguf_kl_limit, top1_limit
from mozhu.testing import make_tiny_model
from mozhu.testing.faults import plant_flipped_weight
from mozhu.testing.tiny_models import reshard


def failed(certificate: Certificate) -> set[str]:
    return {check.name for check in certificate.checks if not check.ok}


def as_type(folder: Path, dtype: torch.dtype, factor: float = 1.0) -> Path:
    for path in folder.glob("*.safetensors"):
        save_file(
            {name: (tensor * factor).to(dtype) for name, tensor in load_file(path).items()},
            path,
            metadata={"format": "pt"},
        )
    return folder


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_copy_in_another_layout_and_type_passes_and_a_changed_one_does_not(
    tiny: SimpleNamespace, tmp_path: Path, dtype: torch.dtype
) -> None:
    copy = reshard(Path(shutil.copytree(tiny.base, tmp_path / "copy")), 2)
    same = certify_conversion(found_model(tiny.base), found_model(copy))
    assert same.passed and same.kind == "conversion", failed(same)
    assert same.check("max_abs_logit_difference").value == 0  # type: ignore[union-attr]
    half = certify_conversion(found_model(tiny.base), found_model(as_type(copy, dtype)))
    assert half.passed, failed(half)
    assert half.measured["reference"]["kl_mean"] == pytest.approx(
        half.measured["agreement"]["kl_mean"], rel=1e-3
    )
    assert ("activations_in_range" in {check.name for check in half.checks}) == (dtype is torch.float16)
    reshard(copy, 1)
    plant_flipped_weight(copy)
    assert {"top1_agreement", "kl_mean"} & failed(
        certify_conversion(found_model(tiny.base), found_model(copy))
    )


def test_numbers_too_large_for_float16_inside_the_model_are_told(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    """Every weight fits float16 and what the layers make of them does not."""
    wide = Path(shutil.copytree(tiny.base, tmp_path / "wide"))
    path = wide / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.0.mlp.down_proj.weight"] *= 1e4
    tensors["model.layers.0.mlp.up_proj.weight"] *= 1e3
    save_file(tensors, path, metadata={"format": "pt"})
    half = as_type(Path(shutil.copytree(wide, tmp_path / "half")), torch.float16)
    assert failed(certify_conversion(found_model(wide), found_model(half))) == {"activations_in_range"}


def test_two_checkpoints_of_one_state_pass_and_of_two_states_do_not(
    tiny: SimpleNamespace, tmp_path: Path
) -> None:
    again = shutil.copytree(tiny.adapter, tmp_path / "again")
    assert api.certify(
        again, source=tiny.adapter, kind="conversion", output=tmp_path / "c.json"
    ).certificate.passed
    path = again / "adapter_model.safetensors"
    save_file(
        {name: tensor * 1.5 for name, tensor in load_file(path).items()}, path, metadata={"format": "pt"}
    )
    other = api.certify(again, source=tiny.adapter, kind="conversion").certificate
    assert "max_abs_logit_difference" in failed(other)


def test_the_limit_follows_what_rounding_does_to_the_very_model() -> None:
    assert top1_limit(0.98, 0.999) == 0.98 and top1_limit(0.98, 0.985) == pytest.approx(0.97)
    assert top1_limit(0.98, 0.5) == 0.9 and top1_limit(0.98, None) == 0.98
    assert gguf_kl_limit("Q8_0", 0.014) == pytest.approx(0.042) and gguf_kl_limit("Q8_0", 1e-5) == 2e-3
    assert gguf_kl_limit("Q8_0", 5.0) == gguf_kl_limit("Q8_0", None) == 0.1


def test_the_reference_rounds_and_quantises_the_model_itself(tiny: SimpleNamespace) -> None:
    layer = torch.nn.Linear(130, 3)
    before = layer.weight.detach().clone()
    quantise_weights(torch.nn.Sequential(layer), 8)
    step = before.abs().max() / 127
    assert 0 < (layer.weight - before).abs().max() <= step / 2 + 1e-6
    round_weights(layer, torch.bfloat16)
    assert torch.equal(layer.weight, layer.weight.to(torch.bfloat16).float())


def test_rows_of_the_training_are_measured_and_named(tiny_copy: SimpleNamespace, tmp_path: Path) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]}
        for n in range(4)
    ]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tiny_copy.adapter / "training_config.json").write_text(
        json.dumps({"dataset": str(tmp_path / "mine.jsonl")})
    )
    certificate = certify_adapter(tiny_copy.base, tiny_copy.adapter)
    assert certificate.passed and certificate.measured["real_rows"] == 4
    assert certificate.measured["data"].startswith("mine")
    (tmp_path / "mine.jsonl").unlink()
    assert certify_adapter(tiny_copy.base, tiny_copy.adapter).measured["real_rows"] == 0


def test_verify_names_the_file_the_tensor_and_the_check(
    tiny_copy: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    done = api.certify(tiny_copy.merged, source=tiny_copy.base, adapter=tiny_copy.adapter)
    assert done.place == tiny_copy.merged / "certificate.json"
    assert api.verify(tiny_copy.merged).holds
    plant_flipped_weight(tiny_copy.merged)
    (tiny_copy.merged / "generation_config.json").unlink()
    found = api.verify(tiny_copy.merged, deep=True)
    told = {(item.code, item.place) for item in found.differences}
    assert ("file_other", "model.safetensors") in told and ("file_gone", "generation_config.json") in told
    assert [place for code, place in told if code == "tensor_other"] == [
        "model.layers.0.input_layernorm.weight"
    ]
    assert {"weights", "tokenizer"} <= {place for code, place in told if code == "fingerprint"}
    assert {place for code, place in told if code == "check_again"} >= {
        "max_abs_logit_difference",
        "stop_ids_equal",
    }
    assert main(["verify", str(tiny_copy.merged), "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["holds"] is False


def test_what_is_missing_is_asked_for(tiny_copy: SimpleNamespace) -> None:
    with pytest.raises(MissingCertificate):
        api.verify(tiny_copy.base)
    with pytest.raises(SourceUnknown):
        api.certify(tiny_copy.base)


def test_a_certificate_of_an_older_version_is_read_and_verified(tiny_copy: SimpleNamespace) -> None:
    checks = [Check(name="adapter_effect", value=1.4, limit=0.001, ok=True)]
    Certificate(kind="adapter", checks=checks, passed=True).write(tiny_copy.adapter / "certificate.json")
    found = api.verify(tiny_copy.adapter)
    codes = {item.code for item in found.differences}
    assert {"unbound", "check_absent"} <= codes and not found.holds


def test_a_model_of_another_architecture_is_no_copy(tiny: SimpleNamespace, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", "qwen2", layers=1, template="chatml")
    assert "tensors_matched" in failed(certify_conversion(found_model(tiny.base), found_model(other)))
