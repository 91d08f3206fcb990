"""The stop proof: how real models name their end tokens is right, and each known way to get it wrong is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from mozhu.engine.data.stops import StopPlaces, copied_stop_findings, read_stops, stop_findings
from mozhu.engine.weights.template import Renderer
from mozhu.testing import make_tiny_model, starter_path


class Names:
    """A tokenizer that only tells the names of its tokens."""

    def decode(self, ids: list[int]) -> str:
        return f"<{ids[0]}>"


def places(**named: tuple[int, ...]) -> StopPlaces:
    empty: dict[str, Any] = dict.fromkeys(
        ("config", "generation", "tokenizer", "special_map", "template"), ()
    )
    return StopPlaces(folder=Path("model"), **{**empty, **named})


@pytest.mark.parametrize(
    "model",
    [
        # config, generation_config, tokenizer, template: as these models were published
        pytest.param(((151645,), (151645, 151643), (151645,), (151645,)), id="Qwen2.5-Instruct"),
        pytest.param(((2,), (2,), (2,), (2,)), id="Llama-2-chat, Mistral-Instruct"),
        pytest.param(
            ((128001, 128008, 128009), (128001, 128008, 128009), (128009,), (128009,)),
            id="Llama-3.1-Instruct",
        ),
        pytest.param(((1,), (1, 107), (1,), (107,)), id="gemma-2-it"),
        pytest.param(((32000,), (32000, 32001, 32007), (32000,), (32007,)), id="Phi-3-instruct"),
        pytest.param(((2,), (), (2,), (2,)), id="no generation_config"),
        pytest.param(((), (), (2,), (2,)), id="an adapter's folder"),
        pytest.param(((2,), (2,), (2,), ()), id="a template that writes no end"),
    ],
)
def test_published_models_agree_with_themselves(model: tuple[tuple[int, ...], ...]) -> None:
    config, generation, tokenizer, template = model
    named = places(config=config, generation=generation, tokenizer=tokenizer, template=template)
    assert stop_findings(named, Names()) == []


@pytest.mark.parametrize(
    ("model", "codes"),
    [
        pytest.param(
            ((151643,), (151643,), (151643,), (151645,)), ["DATA-262"], id="a base with a chat template"
        ),
        pytest.param(((1,), (1,), (1,), (107,)), ["DATA-262"], id="Gemma without its end of turn"),
        pytest.param(((2,), (2, 7), (7,), (7,)), ["DATA-263"], id="tokenizer changed, config forgotten"),
        pytest.param(((5,), (2,), (2,), (2,)), ["DATA-263", "DATA-263"], id="config changed"),
        pytest.param(((2,), (), (2,), (9,)), ["DATA-262"], id="config counts where nothing else is"),
    ],
)
def test_each_disagreement_has_its_name(model: tuple[tuple[int, ...], ...], codes: list[str]) -> None:
    config, generation, tokenizer, template = model
    named = places(config=config, generation=generation, tokenizer=tokenizer, template=template)
    findings = stop_findings(named, Names())
    assert [finding.code for finding in findings] == codes
    assert all(finding.level == "error" and "<" in finding.words for finding in findings)


def test_the_older_map_must_say_the_same(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    (folder / "special_tokens_map.json").write_text('{"eos_token": "<|endoftext|>"}', "utf-8")
    renderer = Renderer.from_folder(folder)
    stops = read_stops(folder, renderer.tokenizer, renderer)
    findings = stop_findings(stops, renderer.tokenizer)
    assert {finding.code for finding in findings} == {"DATA-263"}
    assert "special_tokens_map.json" in [finding.params["left"] for finding in findings]


def test_a_copy_is_held_to_the_places_that_it_has(tmp_path: Path) -> None:
    source = places(config=(2,), generation=(2, 3), tokenizer=(2,), template=(3,))
    adapter = StopPlaces(tmp_path, (), (), (2,), (), (3,))
    assert copied_stop_findings(source, adapter, Names()) == []
    (tmp_path / "generation_config.json").write_text("{}", "utf-8")
    (finding,) = copied_stop_findings(source, adapter, Names())
    assert finding.code == "DATA-264" and finding.params["file"] == "generation_config.json"


def test_the_starter_ends_its_turns_everywhere_at_the_same_token() -> None:
    folder = starter_path()
    renderer = Renderer.from_folder(folder)
    stops = read_stops(folder, renderer.tokenizer, renderer)
    assert stops.config == stops.generation == stops.tokenizer == stops.template != ()
    assert stop_findings(stops, renderer.tokenizer) == []
