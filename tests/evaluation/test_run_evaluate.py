"""An evaluation from the request to its files."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from mozhu.engine.evaluation.run import run_evaluate
from mozhu.engine.scoring.perplexity import calculate_perplexity
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import BaseChanged, BaseMismatch, InvalidSpec, NothingToMerge, NothingToScore
from mozhu.kernel.files import read_jsonl
from mozhu.kernel.progress import EventLog
from mozhu.kernel.texts import set_language
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.layers import Layers, resolve
from mozhu.specs.records.events import Event
from mozhu.specs.records.result import Outcome
from mozhu.testing import make_tiny_model, tiny_rows
from mozhu.testing.faults import plant_no_effect_adapter


def evaluate(folder: Path, **fields: Any) -> Outcome:
    spec = EvaluateSpec(
        **{"max_new_tokens": 8, **{name: str(v) if isinstance(v, Path) else v for name, v in fields.items()}}
    )
    log = EventLog(folder / "events.jsonl", check=Event.model_validate)
    return run_evaluate(spec, folder, log.emit)


@pytest.fixture(scope="module")
def done(made: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("done")
    set_language("zh")
    table = folder / "out" / "evaluation_results.csv"
    outcome = evaluate(folder, checkpoint=made.run, test_data=made.rows, train_data=made.rows, output=table)
    set_language(None)
    return SimpleNamespace(folder=folder, outcome=outcome, table=table)


def test_the_table_has_one_line_a_test_row_and_opens_in_excel(done: SimpleNamespace) -> None:
    assert done.table.read_bytes().startswith(b"\xef\xbb\xbf")
    with open(done.table, encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    rows = tiny_rows(12)
    assert [line["row_id"] for line in lines] == [row["row_id"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert line["reference"] == row["messages"][-1]["content"]
        assert line["prompt"] == row["messages"][-2]["content"]
        assert float(line["perplexity"]) > 1
        assert float(line["base_rougeL"]) >= 0
    assert any(line["answer"] != line["base_answer"] for line in lines)
    exact = list(read_jsonl(done.folder / "evaluation_results.jsonl"))
    assert [row["row_id"] for row in exact] == [line["row_id"] for line in lines]


def test_the_numbers_have_intervals_and_stand_beside_the_base(done: SimpleNamespace) -> None:
    record = json.loads((done.folder / "evaluation.json").read_text("utf-8"))
    assert set(record["sets"]) == {"test", "train"}
    assert record["sets"]["test"]["metrics"] == record["sets"]["train"]["metrics"]
    for metric in record["sets"]["test"]["metrics"].values():
        for side in (metric["tuned"], metric["base"]):
            assert side["low"] <= side["high"]
        assert metric["signature"]
    names = set(done.outcome.metrics)
    assert {"perplexity", "bits_per_byte", "bleu", "rougeL", "exact_match", "f1", "stop_rate"} <= names
    perplexity = done.outcome.metrics["perplexity"]
    assert perplexity.low < perplexity.value < perplexity.high
    assert perplexity.base["value"] != perplexity.value


def test_progress_runs_to_its_end_and_samples_are_shown(done: SimpleNamespace) -> None:
    events = list(read_jsonl(done.folder / "events.jsonl"))
    steps = [event["step"] for event in events if event["kind"] == "step"]
    assert steps == sorted(set(steps))
    assert steps[-1] == next(event["total"] for event in events if event["kind"] == "step")
    assert sum(event["kind"] == "sample" for event in events) == 3


def test_the_report_loads_nothing_from_outside(done: SimpleNamespace) -> None:
    page = (done.folder / "report.html").read_text("utf-8")
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    assert "困惑度" in page
    assert tiny_rows(1)[0]["messages"][0]["content"] in page


def test_the_base_side_is_the_unmodified_base(
    made: SimpleNamespace, done: SimpleNamespace, tmp_path: Path
) -> None:
    alone = evaluate(tmp_path, checkpoint=made.base, test_data=made.rows)
    for name, metric in alone.metrics.items():
        assert done.outcome.metrics[name].base["value"] == pytest.approx(metric.value, rel=1e-6), name


def test_a_model_against_itself_shows_no_difference(made: SimpleNamespace, tmp_path: Path) -> None:
    adapter = Path(shutil.copytree(made.run / "lora_adapter", tmp_path / "adapter"))
    plant_no_effect_adapter(adapter)
    outcome = evaluate(tmp_path, checkpoint=adapter, test_data=made.rows)
    for metric in outcome.metrics.values():
        assert metric.verdict == "none"
        assert metric.difference["value"] == pytest.approx(0, abs=1e-3)


def test_texts_get_a_perplexity_and_nothing_else(made: SimpleNamespace, tmp_path: Path) -> None:
    texts = ["高血压需要长期管理。", "The quick brown fox."]
    (tmp_path / "texts.json").write_text(json.dumps([{"text": text} for text in texts]), "utf-8")
    outcome = evaluate(tmp_path, checkpoint=made.base, test_data=tmp_path / "texts.json")
    assert set(outcome.metrics) == {"perplexity", "bits_per_byte"}
    model = AutoModelForCausalLM.from_pretrained(made.base, dtype=torch.float32)
    expected = calculate_perplexity(model, load_tokenizer(made.base), texts)
    assert outcome.metrics["perplexity"].value == pytest.approx(expected, rel=1e-6)


def test_a_full_model_is_compared_with_the_base_that_is_named(made: SimpleNamespace, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", template="chatml", seed=5)
    outcome = evaluate(
        tmp_path,
        checkpoint=other,
        base_model=made.base,
        test_data=made.rows,
        metrics="perplexity",
        max_rows=3,
    )
    assert outcome.metrics["perplexity"].n == 3
    assert outcome.metrics["perplexity"].verdict == "few"
    assert outcome.metrics["perplexity"].base["value"] != outcome.metrics["perplexity"].value


def test_another_base_is_refused(made: SimpleNamespace, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", template="chatml", seed=5)
    with pytest.raises(BaseMismatch):
        evaluate(tmp_path / "run", checkpoint=made.run, base_model=other, test_data=made.rows)
    assert not (tmp_path / "run" / "evaluation.json").exists()


def test_a_base_that_changes_with_the_adapter_is_refused(made: SimpleNamespace, tmp_path: Path) -> None:
    """Trained biases stay in the base when PEFT switches the adapter off: the comparison would flatter it."""
    model = AutoModelForCausalLM.from_pretrained(made.base, dtype=torch.float32)
    tuned = get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj", "v_proj"], bias="all"))
    for name, parameter in tuned.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    tuned.save_pretrained(tmp_path / "biased")
    with pytest.raises(BaseChanged, match="biased"):
        evaluate(tmp_path / "run", checkpoint=tmp_path / "biased", base_model=made.base, test_data=made.rows)


def test_merging_writes_the_merged_model_beside_the_adapter(made: SimpleNamespace, tmp_path: Path) -> None:
    run = Path(shutil.copytree(made.run, tmp_path / "run"))
    outcome = evaluate(tmp_path / "merge", checkpoint=run, merge=True)
    assert [artefact.kind for artefact in outcome.artefacts] == ["merged_model"]
    assert (run / "merged_model" / "config.json").is_file()
    with pytest.raises(NothingToMerge):
        evaluate(tmp_path / "again", checkpoint=made.base, merge=True)


def test_rows_without_anything_to_score_are_named(made: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "texts.json").write_text('[{"text": "a"}]', "utf-8")  # one token: nothing is predicted
    with pytest.raises(NothingToScore, match=r"texts.json"):
        evaluate(tmp_path, checkpoint=made.base, test_data=tmp_path / "texts.json")


def test_a_request_without_data_says_what_to_give() -> None:
    with pytest.raises(InvalidSpec) as caught:
        resolve(EvaluateSpec, Layers(flags={"checkpoint": "starter"}))
    assert "--test_data" in str(caught.value)


@pytest.mark.parametrize("preset", ["standard", "quick", "perplexity"])
def test_presets_are_whole_requests(preset: str) -> None:
    resolved = resolve(
        EvaluateSpec, Layers(flags={"checkpoint": "starter", "test_data": "rows.json"}, preset=preset)
    )
    assert "perplexity" in resolved.spec.metrics
