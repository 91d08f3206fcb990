"""A GGUF file passes against its source and against no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from mozhu.kernel import slots
from mozhu.specs.export import ConvertSpec
from mozhu.specs.records.certificate import Certificate
from mozhu.testing.faults import plant_changed_eos, plant_flipped_weight, plant_other_template

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")


@pytest.fixture(scope="module")
def gguf(tiny: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    spec = ConvertSpec(model=str(tiny.merged), quantization="F32", output_path=str(path))
    slots.load("mozhu.verbs", "convert")(spec, path.parent, lambda kind, **fields: None)
    return path


def certify(source: Path, gguf: Path) -> Certificate:
    certificate: Certificate = slots.load("mozhu.rooms", "certify_gguf")(source, gguf, "F32")
    return certificate


def failed(certificate: Certificate) -> set[str]:
    return {check.name for check in certificate.checks if not check.ok}


def test_a_file_made_from_the_model_passes(tiny: SimpleNamespace, gguf: Path) -> None:
    certificate = certify(tiny.merged, gguf)
    assert certificate.passed, failed(certificate)
    names = {check.name for check in certificate.checks}
    assert {"token_parity", "eos_id_equal", "chat_template_equal", "kl_mean", "greedy_equal"} <= names


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (plant_changed_eos, {"stop_ids_end"}),
        (plant_other_template, {"chat_template_equal"}),
        (plant_flipped_weight, {"kl_mean"}),
    ],
)
def test_a_file_of_another_model_is_refused(
    tiny: SimpleNamespace, gguf: Path, tmp_path: Path, fault: Callable[[Path], None], found: set[str]
) -> None:
    source = Path(shutil.copytree(tiny.merged, tmp_path / "source"))
    fault(source)
    assert found <= failed(certify(source, gguf))


def test_the_untuned_base_is_not_the_file(tiny: SimpleNamespace, gguf: Path) -> None:
    assert "kl_mean" in failed(certify(tiny.base, gguf))
