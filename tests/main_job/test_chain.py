"""The main job on the starter, step by step: what comes out of each command is what the command before made."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import gguf
import pytest
import torch
from job import Place, Said, check_self_contained, events, made_once, make_place, pattern_rows, tree
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import mozhu
from mozhu.cli.main import main
from mozhu.engine.evaluation.run import run_evaluate
from mozhu.engine.inference.llama_cpp import LlamaCpp
from mozhu.kernel.files import read_json, read_jsonl
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.manifest import Manifest, manifest_problems
from mozhu.specs.records.result import Result

# As typed, in this order; `{base}` is the float32 starter.
COMMANDS = {
    "prepare": "data prepare --input rows.json --output_dir data --output_name rows --json",
    "forecast": "forecast --model {base} --dataset data/rows_train.jsonl --val_dataset data/rows_validation.jsonl "
    "--num_train_epochs 6 --batch_size 8 --json",
    "train": "train --model {base} --dataset data/rows_train.jsonl --val_dataset data/rows_validation.jsonl "
    "--output_dir 6_output/tuned --num_train_epochs 6 --batch_size 8 --learning_rate 3e-3 --json",
    "evaluate": "evaluate --checkpoint 6_output/tuned --test_data data/rows_test.jsonl "
    "--output_dir 6_output/scores --max_new_tokens 24 --json",
    "merge": "merge --adapter 6_output/tuned --output_path merged_model --json",
    "convert": "convert --model merged_model --quantization F32 --output_path gguf --model_name tuned "
    "--create_modelfile --json",
    "register": "registry register 6_output/tuned --name tuned --json",
    "register merged": "registry register merged_model --name tuned --json",
    "register gguf": "registry register gguf --name tuned --json",
}
QUESTIONS = (
    "夏的红色口令是什么？",
    "雪的蓝色口令是什么？",
    "What is the capital of France?",
    "用三个词形容春天。",
)


@dataclass(frozen=True)
class Chain:
    """A workspace in which every command of ``COMMANDS`` was typed once; ``said`` is what each said."""

    place: Place
    base: Path
    said: dict[str, Said]

    def path(self, name: str) -> Path:
        return self.place.path(name)

    def type(self, name: str) -> Said:
        return self.place.done(*COMMANDS[name].format(base=self.base).split())

    def model(self, folder: Path) -> Any:
        return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()

    def adapted(self) -> Any:
        """Base and adapter in plain transformers and PEFT, as seed 004 prints it."""
        return PeftModel.from_pretrained(
            self.model(self.base), self.path("6_output/tuned/lora_adapter")
        ).eval()


def _work(base: Path, folder: Path) -> None:
    place = make_place(folder / "workspace")
    place.write_rows("rows.json", pattern_rows())
    chain = Chain(place, base, {})
    said: dict[str, Any] = {}
    for name in COMMANDS:
        before = tree(place.root) if name == "forecast" else {}
        answer = chain.type(name)
        said[name] = vars(answer)
        if name == "forecast":
            said["forecast wrote"] = sorted({*tree(place.root).items()} ^ {*before.items()})
    (folder / "said.json").write_text(json.dumps(said), encoding="utf-8")


@pytest.fixture(scope="session")
def chain(shared_folder: Path, base: Path) -> Chain:
    folder = made_once(shared_folder / "chain", partial(_work, base))
    said = read_json(folder / "said.json")
    assert said.pop("forecast wrote") == [], "a forecast writes nothing"
    return Chain(Place(folder / "workspace"), base, {name: Said(**value) for name, value in said.items()})


def _prompt(tokenizer: Any, question: str) -> list[int]:
    messages = [{"role": "user", "content": question}]
    return list(
        tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    )


@torch.inference_mode()
def _greedy(model: Any, ids: list[int], limit: int) -> list[int]:
    given = torch.tensor([ids])
    made = model.generate(
        input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=limit, do_sample=False
    )
    return made[0, len(ids) :].tolist()


def test_rows_are_split_and_none_is_lost(chain: Chain) -> None:
    parts = {
        name: list(read_jsonl(chain.path(f"data/rows_{name}.jsonl")))
        for name in ("train", "validation", "test")
    }
    assert [len(rows) for rows in parts.values()] == [48, 6, 6]
    asked = [row["messages"][0]["content"] for rows in parts.values() for row in rows]
    assert sorted(asked) == sorted(row["instruction"] for row in pattern_rows())


def test_the_forecast_is_the_run_that_follows(chain: Chain) -> None:
    forecast, trained = chain.said["forecast"].json(), chain.said["train"].json()
    assert forecast["forecast"]["steps"] == trained["details"]["steps"] == 36
    assert forecast["forecast"]["fits"] and forecast["forecast"]["peak_memory_bytes"] > 0


def test_training_and_validation_loss_fall(chain: Chain) -> None:
    folder = chain.path("6_output/tuned")
    losses = [event["loss"] for event in events(folder, "step")]
    checked = [event["loss"] for event in events(folder, "eval")]
    assert len(losses) == 36
    assert sum(losses[-6:]) < 0.5 * sum(losses[:6])
    assert checked[-1] < 0.5 * checked[0]
    last = events(folder, "step")[-1]
    assert last["eta_s"] == 0 and last["tokens_per_s"] > 0 and last["memory_bytes"] > 0


def test_the_training_report_holds_the_curve_and_loads_nothing(chain: Chain) -> None:
    page = check_self_contained(chain.path("6_output/tuned/report.html"))
    assert "<polyline" in page or "<path" in page
    check_self_contained(chain.path("6_output/scores/report.html"))


def test_base_and_tuned_stand_side_by_side(chain: Chain) -> None:
    scored = read_json(chain.path("6_output/scores/evaluation.json"))["sets"]["test"]
    result = Result.read(chain.path("6_output/scores/result.json"))
    for name in ("perplexity", "bits_per_byte", "rouge1", "rouge2", "rougeL", "bleu", "f1", "exact_match"):
        metric = scored["metrics"][name]
        assert metric["signature"] and metric["rows"] == 6, name
        assert metric["tuned"]["value"] is not None and metric["base"]["value"] is not None, name
        assert result.metrics[name].signature == metric["signature"] and result.metrics[name].n == 6
    for name, better in (("perplexity", -1), ("rougeL", 1), ("bleu", 1)):
        metric = scored["metrics"][name]
        assert better * (metric["tuned"]["value"] - metric["base"]["value"]) > 0, name


def test_the_numbers_of_the_base_are_those_of_the_plain_base(chain: Chain, tmp_path: Path) -> None:
    """Perplexity by transformers alone, and every number by scoring the base as a model of its own."""
    sides = read_json(chain.path("6_output/scores/evaluation.json"))["sets"]["test"]["metrics"]
    assert sides["perplexity"]["base"]["value"] == pytest.approx(
        _perplexity(chain, chain.model(chain.base)), rel=1e-4
    )
    assert sides["perplexity"]["tuned"]["value"] == pytest.approx(
        _perplexity(chain, chain.adapted()), rel=1e-4
    )
    spec = EvaluateSpec(
        checkpoint=str(chain.base), test_data=str(chain.path("data/rows_test.jsonl")), max_new_tokens=24
    )
    run_evaluate(spec, tmp_path, lambda kind, **fields: None)
    plain = read_json(tmp_path / "evaluation.json")["sets"]["test"]["metrics"]
    for name, metric in sides.items():
        assert metric["base"] == pytest.approx(plain[name]["tuned"], rel=1e-5), name


@torch.inference_mode()
def _perplexity(chain: Chain, model: Any) -> float:
    """exp of the mean loss of the answers' tokens, with the token that ends them, as plain transformers has it."""
    tokenizer = AutoTokenizer.from_pretrained(chain.base)
    total, count = 0.0, 0
    for row in read_jsonl(chain.path("data/rows_test.jsonl")):
        prompt = _prompt(tokenizer, row["messages"][0]["content"])
        answer = tokenizer(row["messages"][1]["content"], add_special_tokens=False)["input_ids"]
        ids = torch.tensor([[*prompt, *answer, tokenizer.eos_token_id]])
        labels = ids.clone()
        labels[:, : len(prompt)] = -100
        learnt = len(answer) + 1
        total += model(input_ids=ids, labels=labels).loss.item() * learnt
        count += learnt
    return math.exp(total / count)


@torch.inference_mode()
def test_the_merged_model_is_base_and_adapter(chain: Chain) -> None:
    adapted, merged, base = chain.adapted(), chain.model(chain.path("merged_model")), chain.model(chain.base)
    tokenizer = AutoTokenizer.from_pretrained(chain.path("merged_model"))
    for question in QUESTIONS:
        ids = torch.tensor([_prompt(tokenizer, question)])
        wanted, found = adapted(input_ids=ids).logits, merged(input_ids=ids).logits
        assert (wanted - found).abs().max() <= 1e-4
        assert (base(input_ids=ids).logits - found).abs().max() > 1e-1, "the adapter has an effect"


def test_llama_cpp_writes_what_the_merged_model_writes(chain: Chain) -> None:
    merged = chain.model(chain.path("merged_model"))
    tokenizer = AutoTokenizer.from_pretrained(chain.path("merged_model"))
    with LlamaCpp(_gguf(chain)) as model:
        for question in QUESTIONS:
            ids = _prompt(tokenizer, question)
            assert model.greedy(ids, 32, [tokenizer.eos_token_id]) == _greedy(merged, ids, 32), question


def test_the_gguf_file_says_what_it_is(chain: Chain) -> None:
    reader = gguf.GGUFReader(_gguf(chain))
    assert {tensor.tensor_type.name for tensor in reader.tensors} == {"F32"}
    assert reader.get_field("tokenizer.chat_template").contents()
    assert f"FROM ./{_gguf(chain).name}" in (chain.path("gguf/Modelfile")).read_text(encoding="utf-8")


def test_four_ways_of_one_model_give_one_answer(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(chain.place.root)
    ways = {"base": chain.base, "adapter": "6_output/tuned", "merged": "merged_model", "gguf": _gguf(chain)}
    answers = {name: _answers(way) for name, way in ways.items()}
    assert answers["adapter"] == answers["merged"] == answers["gguf"]
    assert answers["base"] != answers["adapter"]
    assert answers["adapter"][0].startswith("口令：")


def _answers(checkpoint: Path | str) -> list[str]:
    found = []
    with mozhu.chat(checkpoint, max_new_tokens=32) as chat:
        for question in QUESTIONS:
            chat.forget()
            found.append(chat.ask(question))
    return found


def test_plain_peft_answers_as_infer_does(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    adapter = chain.path("6_output/tuned/lora_adapter")
    monkeypatch.chdir(chain.place.root)
    words = f"infer --checkpoint {adapter} --mode single --question {QUESTIONS[0]} --max_new_tokens 32 --json"
    assert main(words.split()) == 0
    answer = json.loads(capfd.readouterr().out)["answer"]
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    made = _greedy(chain.adapted(), _prompt(tokenizer, QUESTIONS[0]), 32)
    assert tokenizer.decode(made, skip_special_tokens=True).strip() == answer


def test_every_artefact_has_a_certificate_that_passed(chain: Chain) -> None:
    for name in ("train", "merge", "convert"):
        run = Path(chain.said[name].json()["run"])
        result = Result.read(run / "result.json")
        assert result.state == "succeeded" and len(result.artefacts) == 1
        artefact = result.artefacts[0]
        assert artefact.certificate and artefact.manifest
        certificate = Certificate.read(run / artefact.certificate)
        assert certificate.passed and certificate.checks, name
        manifest = (run / artefact.manifest).resolve()
        assert manifest_problems(manifest.parent, Manifest.read(manifest)) == [], name
    merge = Certificate.read(chain.path("merged_model/certificate.json"))
    difference = next(check for check in merge.checks if check.name == "max_abs_logit_difference")
    # float32: a ten-thousandth, of the largest logit where logits are above 10
    assert float(difference.value) <= float(difference.limit) <= 5e-4


def test_registering_gives_ready_versions(chain: Chain) -> None:
    said = [chain.said[name].json() for name in ("register", "register merged", "register gguf")]
    assert [one["version"]["reference"] for one in said] == ["tuned:v1", "tuned:v2", "tuned:v3"]
    assert all(one["version"]["state"] == "ready" and not one["already"] for one in said)
    listed = chain.place.done("registry", "list", "--json").json()["items"]
    assert [(model["name"], model["version_count"]) for model in listed] == [("tuned", 3)]
    for one in said:
        chain.place.done("registry", "validate", chain.path("5_models") / one["version"]["path"])


def test_a_registered_version_answers_by_its_name(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(chain.place.root)
    assert _answers("tuned:v1") == _answers("6_output/tuned")


def test_the_same_training_evaluation_and_registration_are_already_done(chain: Chain) -> None:
    kept = [chain.path(name) for name in ("data", "6_output/tuned", "6_output/scores", "5_models")]
    before = tree(*kept)
    for name in ("train", "evaluate"):
        again = chain.type(name)
        assert "already" in again.err, again.err
        assert again.json()["run"] == chain.said[name].json()["run"]
    for name in ("register", "register merged", "register gguf"):
        again = chain.type(name).json()
        assert (
            again["already"]
            and again["version"]["reference"] == chain.said[name].json()["version"]["reference"]
        )
    chain.type("forecast")

    # the registry's journal files may be tidied up; its content may not change
    def lasting(found: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in found.items() if "catalog.db" not in name}

    assert lasting(tree(*kept)) == lasting(before)


@pytest.mark.slow
def test_every_other_command_again_gives_the_same_files(chain: Chain) -> None:
    kept = [chain.path(name) for name in ("data", "merged_model", "gguf")]
    before = tree(*kept)
    for name in ("prepare", "merge", "convert"):
        chain.type(name)
    after = tree(*kept)
    assert sorted(after) == sorted(before)
    changed = {Path(name).name for name in before if before[name] != after[name]}
    assert changed <= {"snapshot.json", "card.md"}, "only the time of making may differ"


def _gguf(chain: Chain) -> Path:
    return chain.path("gguf/tuned-F32.gguf")
