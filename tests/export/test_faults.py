"""Seven faults, planted into everything a real command makes: each is refused, by name; clean ones pass."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

from mozhu import api
from mozhu.cli.main import main
from mozhu.kernel.errors import MozhuError
from mozhu.specs.records.certificate import Certificate
from mozhu.testing import make_tiny_adapter, make_tiny_model
from mozhu.testing.faults import (
    plant_changed_eos,
    plant_dropped_head,
    plant_gguf_eos,
    plant_half_overflow,
    plant_no_effect_adapter,
    plant_no_module_adapter,
    plant_no_op_merge,
    plant_other_revision,
    plant_untied_embeddings,
)

torch.set_num_threads(1)
pytestmark = pytest.mark.slow
Made = SimpleNamespace


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Made by the real commands: base, adapter, merged model, GGUF file; tied, and untied for what concerns heads."""
    root = tmp_path_factory.mktemp("clean")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        base = make_tiny_model(root / "base", "qwen2", template="chatml", dtype="bfloat16")
        adapter = make_tiny_adapter(root / "adapter", base, record=True)
        api.merge(base_model=base, adapter=adapter, output_path=root / "merged", quiet=True)
        api.convert(
            model=root / "merged", quantization="Q8_0", output_path=root / "gguf" / "m.gguf", quiet=True
        )
        untied = make_tiny_model(root / "untied", "llama", tie=False)
        other = make_tiny_adapter(root / "untied_adapter", untied, record=True)
        api.merge(base_model=untied, adapter=other, output_path=root / "untied_merged", quiet=True)
        assert api.certify(adapter).certificate.passed
    return Made(root=root)


@pytest.fixture
def made(clean: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of everything, to damage; the records lead from each to what it was made from."""
    root = Path(shutil.copytree(clean.root, tmp_path / "made"))
    monkeypatch.chdir(root)
    return root


def wrong_base(root: Path) -> None:
    plant_other_revision(root / "base")


# fault -> what it is planted into -> (how, the checks or codes that may name it)
Plant = Callable[[Path], object]
FAULTS: dict[tuple[str, str], tuple[Plant, set[str]]] = {
    ("no-op merge", "merged"): (
        lambda r: plant_no_op_merge(r / "merged", r / "base"),
        {"top1_agreement", "kl_mean", "effect_lost"},
    ),
    ("no-op merge", "gguf"): (
        lambda r: plant_no_op_merge(r / "merged", r / "base"),
        {"tensors_rounded", "kl_mean"},
    ),
    ("wrong base", "adapter"): (wrong_base, {"base_fingerprint"}),
    ("wrong base", "merged"): (wrong_base, {"base_fingerprint"}),
    ("wrong base", "gguf"): (lambda r: plant_other_revision(r / "merged"), {"tensors_rounded", "kl_mean"}),
    ("dropped lm_head", "untied_merged"): (
        lambda r: plant_dropped_head(r / "untied_merged"),
        {"tensors_matched"},
    ),
    ("untied embeddings", "merged"): (lambda r: plant_untied_embeddings(r / "merged"), {"tying_equal"}),
    ("untied embeddings", "gguf"): (lambda r: plant_untied_embeddings(r / "merged"), {"tensors_rounded"}),
    ("changed eos", "merged"): (lambda r: plant_changed_eos(r / "merged"), {"stop_ids_equal"}),
    ("changed eos", "gguf"): (lambda r: plant_gguf_eos(r / "gguf" / "m.gguf"), {"eos_id_equal"}),
    ("fp16 overflow", "merged"): (lambda r: plant_half_overflow(r / "merged"), {"tensors_finite"}),
    ("fp16 overflow", "gguf"): (lambda r: plant_half_overflow(r / "merged"), {"tensors_rounded", "kl_mean"}),
    ("no effective module", "adapter"): (
        lambda r: plant_no_module_adapter(r / "adapter"),
        {"targets_matched", "adapter_effect"},
    ),
    ("no effect", "adapter"): (lambda r: plant_no_effect_adapter(r / "adapter"), {"adapter_effect"}),
    ("no effective module", "merged"): (
        lambda r: plant_no_module_adapter(r / "adapter"),
        {"targets_matched", "adapter_effect"},
    ),
}


def artefact(root: Path, kind: str) -> Path:
    return root / "gguf" / "m.gguf" if kind == "gguf" else root / kind


@pytest.mark.parametrize(("fault", "kind"), FAULTS, ids=lambda item: str(item).replace(" ", "-"))
def test_a_planted_fault_is_refused(made: Path, fault: str, kind: str, capsys: Any) -> None:
    """By ``mozhu certify`` with the check that is there for it, and by ``mozhu verify`` beside the old certificate."""
    plant, named = FAULTS[fault, kind]
    path = artefact(made, kind)
    before = (made / kind / "certificate.json").read_bytes() if path.is_dir() else b""
    plant(made)
    done = api.certify(path, source=made / "base") if kind == "adapter" else api.certify(path)
    failed = {check.name for check in done.certificate.checks if not check.ok}
    assert failed & named, failed
    assert done.place is None, "a failed certificate takes no place"
    if path.is_dir():
        assert (path / "certificate.json").read_bytes() == before
    capsys.readouterr()
    assert main(["verify", str(path)]) == 5, capsys.readouterr().out


@pytest.mark.parametrize("kind", ["adapter", "merged", "untied_merged", "gguf"])
def test_what_is_clean_passes_and_verifies_again(made: Path, kind: str, capsys: Any) -> None:
    path = artefact(made, kind)
    assert main(["certify", str(path), "--json"]) == 0, capsys.readouterr().out
    assert main(["verify", str(path), "--deep"]) == 0, capsys.readouterr().out


MERGES: dict[str, tuple[Plant, str]] = {
    "wrong base": (wrong_base, "EXPORT-004"),
    "no effect": (lambda r: plant_no_effect_adapter(r / "adapter"), "EXPORT-003"),
    "fp16 overflow": (lambda r: plant_half_overflow(r / "base"), "EXPORT-00"),
}


@pytest.mark.parametrize("fault", MERGES)
def test_a_merge_of_faulty_parts_is_refused_and_leaves_nothing(made: Path, fault: str) -> None:
    plant, code = MERGES[fault]
    plant(made)
    with pytest.raises(MozhuError) as refused:
        api.merge(base_model="base", adapter="adapter", output_path="again", quiet=True)
    assert refused.value.code.startswith(code), refused.value
    assert not (made / "again").exists()


CONVERSIONS: dict[str, Plant] = {
    "dropped lm_head": lambda r: plant_dropped_head(r / "untied_merged"),
    "fp16 overflow": lambda r: plant_half_overflow(r / "untied_merged"),
}


@pytest.mark.parametrize("fault", CONVERSIONS)
def test_a_conversion_of_a_faulty_model_is_refused_and_leaves_nothing(made: Path, fault: str) -> None:
    CONVERSIONS[fault](made)
    with pytest.raises(MozhuError):
        api.convert(model="untied_merged", quantization="Q8_0", output_path="again", quiet=True)
    assert not (made / "again").exists()


def test_a_certificate_says_what_it_must(clean: Made) -> None:
    certificate = Certificate.read(clean.root / "merged" / "certificate.json")
    agreement = certificate.measured["agreement"]
    assert {"max_abs", "kl_mean", "top1"} <= agreement.keys()
    assert certificate.measured["reference"]["kl_mean"] > 0
    assert certificate.mix.keys() == {"BF16"} and all(
        told.startswith("BF16 ") for told in certificate.tensors.values()
    )
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.path for file in certificate.files}
    assert {"python", "mozhu", "torch", "transformers", "peft"} <= certificate.tools.keys()
    assert {item["role"] for item in certificate.made_from} == {"base", "adapter"}
    gguf = Certificate.read(clean.root / "gguf" / "m.certificate.json")
    assert {"Q8_0", "F32"} == gguf.mix.keys() and {"gguf", "xllamacpp"} <= gguf.tools.keys()
    rounded = gguf.check("tensors_rounded")
    assert rounded is not None and rounded.facts["exact"] == rounded.facts["of"] == len(gguf.tensors)
