"""An adapter on a base that is not its own is refused by name, all reasons at once, before a weight is read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from mozhu.engine.weights import content
from mozhu.engine.weights.adapter_fit import adapter_reasons, check_adapter_fits
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import AdapterDoesNotFit, AdapterWithoutBase, BaseMismatch
from mozhu.testing import make_tiny_adapter, make_tiny_model
from mozhu.testing.faults import (
    plant_other_prefix,
    plant_other_revision,
    plant_quantised_config,
    plant_renamed_modules,
    plant_resized_vocabulary,
)

Pair = tuple[Path, Path]


@pytest.fixture
def pair(qwen: Path, adapter: Path, tmp_path: Path) -> Pair:
    """Copies of the adapter and of its base."""
    return (
        Path(shutil.copytree(adapter, tmp_path / "adapter")),
        Path(shutil.copytree(qwen, tmp_path / "base")),
    )


@pytest.fixture(autouse=True)
def _no_weights_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is refused here is refused without reading a file of weights to its end."""

    def read(path: Path) -> Any:
        raise AssertionError(f"{path} was hashed")

    monkeypatch.setattr(content, "_read", read)


def codes(pair: Pair) -> set[str]:
    adapter, base = (ModelFolder.open(path) for path in pair)
    return {reason.code for reason in adapter_reasons(adapter, base)}


def test_an_adapter_fits_the_base_it_was_trained_on(pair: Pair) -> None:
    assert codes(pair) == set()


def test_another_revision_of_the_same_name_is_refused(pair: Pair) -> None:
    plant_other_revision(pair[1])
    assert codes(pair) == {"weights"}
    with pytest.raises(BaseMismatch, match="weights"):
        check_adapter_fits(ModelFolder.open(pair[0]), ModelFolder.open(pair[1]))


@pytest.mark.parametrize("prefix", ["model.", "base_model.model.language_model.model.", "base_model.model."])
def test_another_prefix_is_refused(pair: Pair, prefix: str) -> None:
    plant_other_prefix(pair[0], prefix)
    assert codes(pair) == {"prefix"}


def test_another_tokenizer_is_refused(pair: Pair) -> None:
    path = pair[1] / "tokenizer.json"
    value = json.loads(path.read_text(encoding="utf-8"))
    value["model"]["merges"].pop()
    path.write_text(json.dumps(value), encoding="utf-8")
    assert codes(pair) == {"tokenizer"}


def test_another_width_is_refused(pair: Pair, tmp_path: Path) -> None:
    wide = make_tiny_model(tmp_path / "wide", "qwen2", hidden=128)
    assert {"hidden_size", "wrong_shape", "weights"} <= codes((pair[0], wide))


@pytest.mark.parametrize("layers", [1, 4])
def test_another_number_of_layers_is_refused(pair: Pair, tmp_path: Path, layers: int) -> None:
    other = make_tiny_model(tmp_path / "other", "qwen2", layers=layers)
    assert "layer_count" in codes((pair[0], other))
    (pair[0] / "base.json").unlink()
    assert "layer_count" in codes((pair[0], other)), "also without a record"


def test_renamed_target_modules_are_refused(pair: Pair) -> None:
    plant_renamed_modules(pair[0])
    assert codes(pair) == {"no_such_module"}


def test_a_quantised_base_is_refused(pair: Pair) -> None:
    plant_quantised_config(pair[1])
    assert "quantised_base" in codes(pair)


def test_a_resized_vocabulary_is_refused(pair: Pair) -> None:
    plant_resized_vocabulary(pair[1])
    assert {"vocabulary", "weights"} <= codes(pair)


def test_an_adapter_that_names_no_base_is_refused(pair: Pair) -> None:
    (pair[0] / "base.json").unlink()
    path = pair[0] / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**settings, "base_model_name_or_path": None}), encoding="utf-8")
    with pytest.raises(AdapterWithoutBase):
        find_model(str(pair[0]))


def test_every_reason_comes_at_once_and_loading_says_them(pair: Pair, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", "qwen2", hidden=128, layers=1, template="chatml")
    plant_quantised_config(other)
    assert {"hidden_size", "layer_count", "no_such_module", "quantised_base"} <= codes((pair[0], other))
    with pytest.raises(AdapterDoesNotFit) as caught:
        load_model(find_model(str(pair[0]), base=str(other)), device="cpu")
    assert {"hidden_size", "layer_count", "quantised_base"} <= set(caught.value.params["reasons"])  # type: ignore[call-overload]


def test_an_adapter_on_some_layers_by_its_own_settings_fits(pair: Pair) -> None:
    path = pair[0] / "adapter_model.safetensors"
    kept = {name: value for name, value in load_file(path).items() if ".layers.0." in name}
    save_file(kept, path, metadata={"format": "pt"})
    assert codes(pair) == {"layer_count"}
    settings = json.loads((pair[0] / "adapter_config.json").read_text(encoding="utf-8"))
    (pair[0] / "adapter_config.json").write_text(json.dumps({**settings, "layers_to_transform": [0]}))
    assert codes(pair) == set()


def test_each_family_fits_itself(tmp_path: Path) -> None:
    for family in ("llama", "gemma3", "qwen3", "mistral"):
        base = make_tiny_model(tmp_path / family, family)
        adapter = make_tiny_adapter(tmp_path / f"{family}-adapter", base)
        assert codes((adapter, base)) == set(), family


def test_old_records_without_the_quick_parts_are_read(pair: Pair) -> None:
    record = json.loads((pair[0] / "base.json").read_text(encoding="utf-8"))
    for part in ("layout", "sample", "shape"):
        record["fingerprint"].pop(part)
    (pair[0] / "base.json").write_text(json.dumps(record), encoding="utf-8")
    assert codes(pair) == set()
    plant_resized_vocabulary(pair[1])  # does not concern an adapter on the layers: the whole hash tells it
    check_adapter_fits(ModelFolder.open(pair[0]), ModelFolder.open(pair[1]))
