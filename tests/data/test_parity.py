"""The parity gate: every planted template fault is found, nothing on clean models, training stops at it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

sys.path.insert(0, str(Path(__file__).parent / "template_faults"))

import run as corpus
from families import FAMILIES, make_clean, rows_of
from faults import FAULTS

import mozhu
from mozhu.cli.main import main
from mozhu.engine.data.parity import check_parity, first_difference, require_parity
from mozhu.engine.data.parity_sides import PlainTransformers
from mozhu.engine.data.tokens import tokenize_rows
from mozhu.engine.scoring.parity import compare
from mozhu.engine.training.run import run_training
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import ParityBroken
from mozhu.specs.train import TrainSpec
from mozhu.testing import starter_path, tiny_rows


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the six clean folders lie; each is made when it is first asked for."""
    return tmp_path_factory.mktemp("families")


@pytest.fixture
def chatml(place: Path, tmp_path: Path) -> Path:
    """A copy of the clean ChatML folder, to do with as one likes."""
    return Path(shutil.copytree(corpus.clean_folder("chatml", place), tmp_path / "chatml"))


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "chat_template.jinja"
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new), encoding="utf-8")


# ---------------------------------------------------------------- the planted faults
def test_there_are_24_faults_over_six_families() -> None:
    assert len(FAULTS) == 24 == len({fault.name for fault in FAULTS})
    assert {fault.family for fault in FAULTS} == set(FAMILIES) and len(FAMILIES) == 6


def test_every_planted_fault_is_found(place: Path) -> None:
    lines = corpus.fault_lines(place)
    assert [line.name for line in lines if not line.ok] == []
    assert all(line.where for line in lines)


def test_nothing_is_reported_on_the_clean_families(place: Path) -> None:
    lines = corpus.clean_lines(place)
    assert [(line.family, line.found) for line in lines if line.found] == []


def test_the_clean_families_have_rows_that_their_templates_accept(place: Path) -> None:
    for family in FAMILIES:
        report = compare(rows_of(family), str(corpus.clean_folder(family, place)))
        assert report.rows >= 15 and report.refused == 0 and report.turns > report.rows, family


# ---------------------------------------------------------------- what a report says
def test_a_difference_names_row_turn_position_and_both_tokens(chatml: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(chatml, tmp_path / "merged"))
    edit(copy, "'<|im_start|>assistant\\n'", "'<|im_start|>assistant\\n<|endoftext|>'")
    rows = tiny_rows(3, turns=2)
    report = compare(rows, str(chatml), against=[str(copy)])
    (finding,) = report.errors
    first = finding.differences[0]
    renderer = Renderer.from_folder(chatml)
    prompt = renderer.prompt_ids(rows[0]["messages"][:1])
    assert (first.code, first.row, first.turn) == ("DATA-253", rows[0]["row_id"], 2)
    assert first.position == len(prompt) and first.left_token.id is None
    assert first.right_token.text == "<|endoftext|>"
    assert first.before.endswith("<|im_start|>assistant\n")
    told = finding.to_json()
    assert rows[0]["row_id"] in told["message"] and str(copy) in told["message"]
    json.dumps(report.to_json())


def test_first_difference_is_where_two_lists_part() -> None:
    assert first_difference([1, 2, 3], [1, 2, 3]) == 3
    assert first_difference([1, 2, 3], [1, 9, 3]) == 1
    assert first_difference([1, 2], [1, 2, 3]) == 2
    assert first_difference([], [1]) == 0


def test_plain_transformers_is_compared_by_its_own_class(place: Path, tmp_path: Path) -> None:
    """A tokenizer that AutoTokenizer rebuilds with other rules than its file has."""
    made = make_clean("llama2", tmp_path / "model")
    settings = json.loads((made / "tokenizer_config.json").read_text("utf-8"))
    settings["tokenizer_class"] = "Qwen2Tokenizer"
    (made / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    renderer = Renderer.from_folder(made)
    plain = PlainTransformers(made)
    report = check_parity(tiny_rows(4), made, renderer, renderer.tokenizer)
    same = (
        plain.whole(tiny_rows(1)[0]["messages"], None)
        == renderer.conversation_ids(tiny_rows(1)[0]["messages"]).ids
    )
    assert ("DATA-252" in [finding.code for finding in report.errors]) == (not same)


def test_a_text_row_with_a_written_beginning_is_a_double_beginning(place: Path) -> None:
    folder = corpus.clean_folder("llama2", place)
    rows = [{"row_id": "t#1", "text": "plain"}, {"row_id": "t#2", "text": "<s>[INST] a [/INST] b </s>"}]
    report = compare(rows, str(folder))
    (finding,) = report.errors
    assert finding.code == "DATA-257" and finding.differences[0].row == "t#2"


def test_a_default_system_prompt_and_a_date_are_told_and_stop_nothing(chatml: Path) -> None:
    edit(chatml, "You are a helpful assistant.", "Today is {{ 'x' }}.")
    edit(chatml, "Today is {{ 'x' }}.", "You are old. ' + strftime_now('%d %b %Y') + '")
    report = compare(tiny_rows(4), str(chatml))
    assert not report.errors
    assert {finding.code for finding in report.findings} == {"DATA-259", "DATA-260"}


def test_the_functions_say_what_the_commands_say() -> None:
    report = mozhu.parity(model="starter", dataset="sample")
    assert report.errors == [] and report.rows == 10
    view = mozhu.preview(model="starter", dataset="sample", row="2")
    assert [row.row_id for row in view.rows] == ["sample#2"] and 0 < view.trained < view.tokens


def test_the_starter_holds_with_its_own_rows() -> None:
    report = compare(tiny_rows(40, turns=2), str(starter_path()))
    assert report.findings == [] and report.rows == 40 and report.turns == 80


# ---------------------------------------------------------------- the gate
def test_the_gate_refuses_and_accepts_by_name(chatml: Path, events: Any) -> None:
    (chatml / "generation_config.json").write_text('{"eos_token_id": 1}', "utf-8")
    renderer = Renderer.from_folder(chatml)
    with pytest.raises(ParityBroken) as caught:
        require_parity(tiny_rows(4), chatml, renderer, renderer.tokenizer, emit=events, dataset="d")
    assert caught.value.params["codes"] == "DATA-262 DATA-263" and caught.value.exit_code == 5
    assert "--accept DATA-262 DATA-263" in caught.value.next
    errors = [event["code"] for event in events if event.get("level") == "error"]
    assert errors == ["DATA-262", "DATA-263"]
    with pytest.raises(ParityBroken):
        require_parity(tiny_rows(4), chatml, renderer, renderer.tokenizer, emit=events, accept=("DATA-262",))
    events.clear()
    accept = ("DATA-262", "DATA-263")
    require_parity(tiny_rows(4), chatml, renderer, renderer.tokenizer, emit=events, accept=accept)
    assert [event["level"] for event in events if event["kind"] == "finding" and event["code"] in accept] == [
        "warning",
        "warning",
    ]


def test_training_stops_before_its_first_step(chatml: Path, events: Any, tmp_path: Path) -> None:
    edit(chatml, "{%- if add_generation_prompt %}", "{%- if false %}")
    spec = TrainSpec(
        model=str(chatml), dataset="sample", max_steps=1, max_length=128, threads=1, max_rejected_share=1
    )
    with pytest.raises(ParityBroken, match="DATA-256"):
        run_training(spec, tmp_path / "run", events)
    assert "step" not in [event["kind"] for event in events]
    accepted = spec.model_copy(update={"accept": ("DATA-256",)})
    assert run_training(accepted, tmp_path / "run", events).artefacts
    assert TrainSpec(model="m", dataset="d", accept="DATA-256, DATA-262").accept == ("DATA-256", "DATA-262")
    with pytest.raises(ValueError):
        TrainSpec(model="m", dataset="d", accept="everything")


def test_only_the_last_answer_is_learned_when_asked(place: Path) -> None:
    for family in ("chatml", "llama2", "gemma", "qwen3"):
        renderer = Renderer.from_folder(corpus.clean_folder(family, place))
        rows = tiny_rows(3, turns=3)
        last = tokenize_rows(rows, renderer, max_length=4096, train_on="last").examples
        assert [example.row_id for example in last] == [row["row_id"] for row in rows]
        for example, row in zip(last, rows, strict=True):
            learned = [label for label in example.labels if label != -100]
            said = renderer.tokenizer.decode(learned, skip_special_tokens=True)
            assert said.split("</think>")[-1].strip() == row["messages"][-1]["content"]
            prompt = renderer.prompt_ids(row["messages"][:-1])
            assert example.ids[: len(prompt)] == prompt and set(example.labels[: len(prompt)]) == {-100}
        report = compare(rows, str(corpus.clean_folder(family, place)), train_on="last")
        assert not report.errors and report.turns == len(rows)


# ---------------------------------------------------------------- the command
def test_the_command_ends_with_5_on_a_difference_and_0_without(
    chatml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(chatml, tmp_path / "merged"))
    words = ["data", "parity", "--model", str(chatml), "--dataset", "sample", "--lang", "en"]
    assert main([*words, "--against", str(copy)]) == 0
    assert "Token parity holds: 10 rows" in capsys.readouterr().out
    edit(copy, "You are a helpful assistant.", "You are Qwen.")
    assert main([*words, "--against", str(copy)]) == 5
    said = capsys.readouterr().out
    assert "DATA-253" in said and "token " in said and "next" in said.lower()
    assert main([*words, "--against", str(copy), "--json"]) == 5
    value = json.loads(capsys.readouterr().out)
    first = next(item for item in value["findings"] if item["code"] == "DATA-253")["differences"][0]
    assert value["holds"] is False and first["turn"] == 2 and first["left_token"]["text"]
    assert main([*words, "--against", str(copy), "--accept", "DATA-253"]) == 0
