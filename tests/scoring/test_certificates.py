"""Clean artefacts pass; every planted fault is found by the check that is there for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file

from mozhu.engine.scoring.certificates import certify_adapter, certify_merge
from mozhu.specs.records.certificate import Certificate
from mozhu.testing import make_tiny_model
from mozhu.testing.faults import (
    plant_changed_eos,
    plant_flipped_weight,
    plant_no_effect_adapter,
    plant_other_template,
)


def failed(certificate: Certificate) -> set[str]:
    return {check.name for check in certificate.checks if not check.ok}


def test_a_clean_adapter_and_merge_pass(tiny: SimpleNamespace, tmp_path: Path) -> None:
    adapter = certify_adapter(tiny.base, tiny.adapter)
    assert adapter.passed, failed(adapter)
    merged = certify_merge(tiny.base, tiny.adapter, tiny.merged)
    assert merged.passed, failed(merged)
    values = {check.name: check.value for check in merged.checks}
    assert values["max_abs_logit_difference"] <= 1e-4
    assert values["adapter_effect"] > 0.001
    assert merged.made_from[0]["fingerprint"] == adapter.made_from[0]["fingerprint"]
    merged.write(tmp_path / "certificate.json")
    assert Certificate.read(tmp_path / "certificate.json").passed


def test_a_merge_saved_in_sixteen_bits_is_held_to_equal_next_tokens(tiny: SimpleNamespace) -> None:
    certificate = certify_merge(tiny.base, tiny.adapter, tiny.merged_half)
    assert certificate.passed, [(c.name, c.value) for c in certificate.checks]
    assert "top1_agreement" in {check.name for check in certificate.checks}


def test_rows_that_are_given_are_measured_too(tiny: SimpleNamespace) -> None:
    plain = certify_adapter(tiny.base, tiny.adapter)
    more = certify_adapter(
        tiny.base, tiny.adapter, [{"messages": [{"role": "user", "content": "?"}]}, {"text": "abc"}]
    )
    assert more.measured["tokens"] >= plain.measured["tokens"]


def test_an_adapter_without_effect_is_refused(tiny_copy: SimpleNamespace) -> None:
    plant_no_effect_adapter(tiny_copy.adapter)
    assert failed(certify_adapter(tiny_copy.base, tiny_copy.adapter)) == {"adapter_effect"}
    assert "adapter_effect" in failed(certify_merge(tiny_copy.base, tiny_copy.adapter, tiny_copy.base))


def test_changed_stop_tokens_are_refused(tiny_copy: SimpleNamespace) -> None:
    plant_changed_eos(tiny_copy.merged)
    assert failed(certify_merge(tiny_copy.base, tiny_copy.adapter, tiny_copy.merged)) == {"stop_ids_equal"}


def test_another_template_is_refused(tiny_copy: SimpleNamespace) -> None:
    plant_other_template(tiny_copy.merged)
    assert failed(certify_merge(tiny_copy.base, tiny_copy.adapter, tiny_copy.merged)) == {"template_parity"}


def test_another_base_is_refused(tiny: SimpleNamespace, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", template="chatml", seed=9)
    assert failed(certify_adapter(other, tiny.adapter)) == {"base_fingerprint"}
    assert "base_fingerprint" in failed(certify_merge(other, tiny.adapter, tiny.merged))


@pytest.mark.parametrize("kind", ["merged", "merged_half"])
@pytest.mark.parametrize("fault", [plant_flipped_weight, "base"])
def test_a_merge_that_is_not_the_trained_model_is_refused(
    tiny_copy: SimpleNamespace, kind: str, fault: Callable[[Path], None] | str
) -> None:
    """One wrong weight; or the bare base under the name of the merge."""
    merged: Path = getattr(tiny_copy, kind)
    if callable(fault):
        fault(merged)
    else:
        shutil.copy(tiny_copy.base / "model.safetensors", merged / "model.safetensors")
    assert failed(certify_merge(tiny_copy.base, tiny_copy.adapter, merged)) & {
        "max_abs_logit_difference",
        "top1_agreement",
        "effect_lost",
    }


def test_numbers_that_are_not_finite_are_refused(tiny_copy: SimpleNamespace) -> None:
    path = tiny_copy.adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors[sorted(tensors)[0]][0, 0] = torch.nan
    save_file(tensors, path, metadata={"format": "pt"})
    assert {"tensors_finite", "adapter_effect"} <= failed(certify_adapter(tiny_copy.base, tiny_copy.adapter))


def test_an_adapter_for_other_layers_is_refused(tiny_copy: SimpleNamespace) -> None:
    path = tiny_copy.adapter / "adapter_model.safetensors"
    tensors = {name.replace("layers.1", "layers.7"): tensor for name, tensor in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})
    assert {"targets_matched", "adapter_effect"} <= failed(certify_adapter(tiny_copy.base, tiny_copy.adapter))
