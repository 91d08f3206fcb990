"""Every method's artefact is the trained network: it loads, answers alike, is certified and merged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from mozhu.cli.main import main
from mozhu.engine.evaluation.judge import macro_f1
from mozhu.engine.evaluation.run import run_evaluate
from mozhu.engine.export.merge import run_merge
from mozhu.engine.inference.chat import open_chat
from mozhu.engine.scoring.certificates_full import certify_full
from mozhu.engine.training.engines import hf
from mozhu.engine.training.engines.flat.forward import make_plain
from mozhu.engine.training.engines.flat.fuse import unfuse
from mozhu.engine.training.forecast import forecast
from mozhu.engine.training.preflight import preflight
from mozhu.engine.training.run import run_training
from mozhu.engine.training.stop import StopFlag
from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import NoAnswerToScore, NotMergeable, UnsupportedTraining
from mozhu.kernel.machine import describe, library_version
from mozhu.planning import plan_training
from mozhu.platform.catalog.service import Registry
from mozhu.specs.evaluate import EvaluateSpec
from mozhu.specs.export import MergeSpec
from mozhu.specs.serve import InferSpec
from mozhu.testing.faults import plant_changed_eos

IDS = torch.tensor([[5, 9, 33, 7, 120, 60, 2, 81, 14]])


@pytest.fixture
def trained_logits(monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """What the network itself said of :data:`IDS` when its training ended, before it was saved."""
    found: list[torch.Tensor] = []
    save = hf.save_artefact

    def listening(network: Any, *given: Any, **more: Any) -> None:
        make_plain(network)
        unfuse(network)
        was_training = network.training
        network.eval()
        with torch.no_grad():
            found.append(network(input_ids=IDS, use_cache=False).logits[:, -IDS.shape[1] :])
        network.train(was_training)
        save(network, *given, **more)

    monkeypatch.setattr(hf, "save_artefact", listening)
    return found


def _certificate(artefact: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((artefact / "certificate.json").read_text(encoding="utf-8"))
    return found


METHODS = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"lora_init": "pissa"},
    "pissa rslora dora": {"lora_init": "pissa", "use_rslora": True, "use_dora": True},
    "dropout": {"lora_dropout": 0.1},
    "output layer": {"target_modules": "q_proj lm_head"},
    "embedding": {"target_modules": "q_proj embed_tokens"},
    "ia3": {"train_type": "ia3"},
    "prefix": {"train_type": "prefix", "virtual_tokens": 3},
}


@pytest.mark.parametrize("method", METHODS)
def test_base_and_saved_adapter_are_the_trained_network(
    spec: Any, tiny: Path, tmp_path: Path, events: Any, trained_logits: list[torch.Tensor], method: str
) -> None:
    outcome = run_training(spec(**METHODS[method]), tmp_path / "run", events)
    assert outcome.artefacts[0].kind == "adapter"
    adapter = tmp_path / "run" / "lora_adapter"
    assert _certificate(adapter)["passed"], _certificate(adapter)["checks"]
    base = AutoModelForCausalLM.from_pretrained(tiny)
    tuned = PeftModel.from_pretrained(base, str(adapter)).eval()
    ours = load_model(find_model(str(tmp_path / "run")), dtype="float32", device="cpu")
    with torch.no_grad():
        for model in (tuned, ours):
            logits = model(input_ids=IDS).logits[:, -IDS.shape[1] :]
            torch.testing.assert_close(logits, trained_logits[0], rtol=0, atol=1e-4)
        with tuned.disable_adapter():
            assert (tuned(input_ids=IDS).logits - trained_logits[0]).abs().max() > 1e-3


@pytest.mark.parametrize("method", ["rslora", "dora", "pissa", "pissa rslora dora"])
def test_what_was_trained_can_be_merged(
    spec: Any, tmp_path: Path, events: Any, trained_logits: list[torch.Tensor], method: str
) -> None:
    run_training(spec(**METHODS[method]), tmp_path / "run", events)
    merged = tmp_path / "merged"
    run_merge(MergeSpec(adapter=str(tmp_path / "run"), output_path=str(merged)), tmp_path / "m", events)
    model = AutoModelForCausalLM.from_pretrained(merged)
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids=IDS).logits, trained_logits[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("method", ["prefix"])
def test_what_cannot_be_merged_is_refused_by_name(
    spec: Any, tmp_path: Path, events: Any, method: str
) -> None:
    run_training(spec(**METHODS[method], max_steps=1), tmp_path / "run", events)
    asked = MergeSpec(adapter=str(tmp_path / "run"), output_path=str(tmp_path / "merged"))
    with pytest.raises(NotMergeable) as caught:
        run_merge(asked, tmp_path / "m", events)
    assert method in str(caught.value.params).lower()


def test_a_stopped_pissa_run_resumes_to_the_same_adapter(
    spec: Any, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spec(lora_init="pissa", save_steps=2)
    run_training(asked, tmp_path / "whole", events)

    class StopsAtThree(StopFlag):
        @property  # type: ignore[override]
        def is_set(self) -> bool:
            return len(cut.of("step")) >= 2

        @is_set.setter
        def is_set(self, value: bool) -> None:
            pass

    cut = type(events)()
    with monkeypatch.context() as patch:
        patch.setattr(hf, "StopFlag", StopsAtThree)
        with pytest.raises(KeyboardInterrupt):
            run_training(asked, tmp_path / "cut", cut)
    run_training(asked, tmp_path / "cut", type(events)())
    whole, again = (
        load_file(tmp_path / name / "lora_adapter" / "adapter_model.safetensors") for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_pissa_begins_as_the_principal_part_of_the_base(
    spec: Any, tiny: Path, tmp_path: Path, events: Any
) -> None:
    run_training(spec(lora_init="pissa", max_steps=1, learning_rate=1e-12), tmp_path / "run", events)
    begun = load_file(tmp_path / "run" / "pissa_beginning.safetensors")
    weights = load_file(tiny / "model.safetensors")
    name = "model.layers.0.mlp.up_proj"
    a, b = (begun[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    left, values, right = torch.linalg.svd(weights[f"{name}.weight"])
    best = left[:, :4] @ torch.diag(values[:4]) @ right[:4]
    torch.testing.assert_close(16 / 4 * b @ a, best, rtol=1e-3, atol=1e-5)
    assert events.of("step")[0]["loss"] == pytest.approx(events.of("eval")[0]["loss"], rel=0.3)


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("target", ["lm_head", "embed_tokens", "down_proj"])
def test_every_target_is_really_trained(
    spec: Any, tmp_path: Path, events: Any, target: str, packing: bool
) -> None:
    asked = spec(target_modules=f"q_proj {target}", max_steps=3, packing=packing)
    run_training(asked, tmp_path / "run", events)
    tensors = load_file(tmp_path / "run" / "lora_adapter" / "adapter_model.safetensors")
    ups = [tensor for name, tensor in tensors.items() if target in name and "_B" in name]
    assert ups and all(tensor.abs().max() > 0 for tensor in ups)


# ---------------------------------------------------------------- quantised bases
quantised = pytest.mark.skipif(
    library_version("bitsandbytes") is None, reason="bitsandbytes is not installed"
)


@quantised
@pytest.mark.parametrize(
    "asked",
    [
        {"train_type": "qlora"},
        {"quantization": "8bit"},
        {"train_type": "qlora", "use_dora": True},
        {"train_type": "ia3", "quantization": "4bit"},
    ],
)
def test_a_quantised_base_is_trained_on_a_cpu(
    spec: Any, tmp_path: Path, events: Any, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[str] = []
    objective = hf._objective

    def listening(spec: Any, network: Any, *given: Any) -> Any:
        layer = network.get_base_model().model.layers[0].mlp.down_proj
        kinds.append(type(layer.get_base_layer()).__name__)
        return objective(spec, network, *given)

    monkeypatch.setattr(hf, "_objective", listening)
    run_training(spec(max_steps=8, learning_rate=2e-2, **asked), tmp_path / "run", events)
    assert kinds == ["Linear8bitLt" if asked.get("quantization") == "8bit" else "Linear4bit"]
    steps = events.of("step")
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert all(step["grad_norm"] > 0 for step in steps)
    codes = [event["code"] for event in events.of("finding")]
    assert "TRAIN-038" in codes and "TRAIN-041" not in codes
    # Against the base as it is on disk, in its own numbers.
    assert _certificate(tmp_path / "run" / "lora_adapter")["passed"]


@quantised
def test_a_quantised_base_costs_less_memory_in_the_forecast(spec: Any) -> None:
    whole, half, quarter = (
        forecast(spec(quantization=bits), describe()).memory["weights"] for bits in ("none", "8bit", "4bit")
    )
    assert quarter < half < whole


@quantised
def test_a_base_in_4_bits_is_taken_as_it_is_and_never_trained_in_full(
    spec: Any, tiny: Path, tmp_path: Path, events: Any
) -> None:
    from transformers import BitsAndBytesConfig

    folder = tmp_path / "nf4"
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    AutoModelForCausalLM.from_pretrained(tiny, quantization_config=config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny).save_pretrained(folder)
    run_training(spec(model=str(folder), train_type="qlora", max_steps=2), tmp_path / "run", events)
    assert _certificate(tmp_path / "run" / "lora_adapter")["passed"]
    told = {
        f.code: f.level for f in preflight(spec(model=str(folder), train_type="full"), describe(), tmp_path)
    }
    assert told["TRAIN-050"] == "error"
    with pytest.raises(UnsupportedTraining):
        run_training(spec(model=str(folder), train_type="full"), tmp_path / "full", events)


@pytest.mark.parametrize(("method", "code"), [("gptq", "TRAIN-052"), ("mxfp4", "TRAIN-051")])
def test_a_base_that_cannot_be_trained_on_here_is_named(
    spec: Any, tiny: Path, tmp_path: Path, method: str, code: str
) -> None:
    folder = shutil.copytree(tiny, tmp_path / method)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": method, "bits": 4}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    found = preflight(spec(model=str(folder), train_type="qlora"), describe(), tmp_path / "run")
    assert [(f.code, f.level) for f in found if f.params.get("method") == method] == [(code, "error")]


@pytest.mark.parametrize(
    "asked",
    [
        {"lora_init": "pissa", "train_type": "qlora"},
        {"train_type": "full", "quantization": "4bit"},
        {"train_type": "prefix", "gradient_checkpointing": True},
    ],
)
def test_methods_that_contradict_each_other_are_refused(spec: Any, asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spec(**asked)


@pytest.mark.parametrize(
    ("asked", "typed", "idle"),
    [
        ({"train_type": "full"}, ["lora_rank", "seed"], ["lora_rank"]),
        ({"train_type": "ia3"}, ["lora_alpha", "target_modules"], ["lora_alpha"]),
        ({"train_type": "lora"}, ["virtual_tokens", "beta"], ["virtual_tokens", "beta"]),
        ({"train_type": "lora", "stage": "dpo"}, ["beta", "use_dora"], []),
    ],
)
def test_a_typed_field_that_nothing_reads_is_an_error_and_a_presets_is_not(
    spec: Any, tmp_path: Path, asked: dict[str, Any], typed: list[str], idle: list[str]
) -> None:
    origins = {**dict.fromkeys(typed, "flag"), "lora_dropout": "preset:lora"}
    found, _ = plan_training(spec(**asked), tmp_path / "run", origins)
    assert [f.params["field"] for f in found if f.code == "TRAIN-054"] == [f"--{name}" for name in idle]


# ---------------------------------------------------------------- answers
@pytest.mark.parametrize("method", ["lora", "ia3", "prefix"])
def test_an_adapter_answers_in_a_batch_as_one_by_one(
    spec: Any, tmp_path: Path, events: Any, method: str
) -> None:
    run_training(spec(**METHODS[method], max_steps=10, learning_rate=3e-2), tmp_path / "run", events)
    asked = InferSpec(checkpoint=str(tmp_path / "run"), max_new_tokens=12, device="cpu", dtype="float32")
    chat = open_chat(asked)
    told = [
        [{"role": "user", "content": text}]
        for text in ("高血压？", "What is 2 + 3, and what is 3 + 4?", "好")
    ]
    batch = [answer.text for answer in chat.answer_many(told)]
    assert batch == [chat.answer(messages).text for messages in told]
    base = open_chat(asked.model_copy(update={"checkpoint": spec().model}))
    assert batch != [answer.text for answer in base.answer_many(told)]


@pytest.mark.parametrize("method", ["ia3", "prefix"])
def test_an_adapter_is_evaluated_beside_its_base(spec: Any, tmp_path: Path, events: Any, method: str) -> None:
    run_training(spec(**METHODS[method], max_steps=10, learning_rate=3e-2), tmp_path / "run", events)
    asked = {"test_data": "sample", "max_rows": 3, "max_new_tokens": 8}
    found = {}
    for name, checkpoint in {"tuned": str(tmp_path / "run"), "base": spec().model}.items():
        run_evaluate(EvaluateSpec(checkpoint=checkpoint, **asked), tmp_path / name, events)
        whole = json.loads((tmp_path / name / "evaluation.json").read_text(encoding="utf-8"))
        found[name] = whole["sets"]["test"]["metrics"]
    assert found["tuned"]["perplexity"]["tuned"] != found["tuned"]["perplexity"]["base"]
    for metric in ("perplexity", "rouge1"):  # with the adapter off it is the base as it is alone
        told = found["tuned"][metric]["base"]["value"]
        assert told == pytest.approx(found["base"][metric]["tuned"]["value"], rel=1e-5)


# ---------------------------------------------------------------- whole models
@pytest.mark.parametrize("stage", ["sft", "pt"])
def test_a_model_trained_in_full_is_certified_and_ready(
    spec: Any, tmp_path: Path, events: Any, stage: str
) -> None:
    data = (
        {"dataset": str(_texts(tmp_path)), "over_length": "split", "max_length": 48} if stage == "pt" else {}
    )
    run_training(spec(train_type="full", learning_rate=1e-3, stage=stage, **data), tmp_path / "run", events)
    certificate = _certificate(tmp_path / "run" / "model")
    assert certificate["kind"] == "full" and certificate["passed"], certificate["checks"]
    with Registry(tmp_path / "workspace") as registry:
        registered = registry.register(str(tmp_path / "run" / "model"), "whole", "v1")
        assert registry.validate("whole:v1").state == "ready", registered
    if stage == "pt":
        assert {"DATA-127"} <= {event["code"] for event in events.of("finding")}
        assert events.of("step")[-1]["loss"] < events.of("step")[0]["loss"]


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("untrained", "training_effect"),
        ("nan", "tensors_finite"),
        ("stop", "stop_ids_equal"),
        ("shape", "config_equal"),
        ("lost", "tensors_matched"),
    ],
)
def test_a_faulty_model_gets_no_certificate(
    spec: Any, tiny: Path, tmp_path: Path, events: Any, fault: str, check: str
) -> None:
    copy = shutil.copytree(tiny, tmp_path / "model")
    weights = load_file(copy / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    if fault != "untrained":
        weights[name] += 0.1
    if fault == "nan":
        weights[name][0, 0] = float("nan")
    if fault == "lost":
        weights["model.layers.0.extra.weight"] = torch.ones(2)
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    if fault == "stop":
        plant_changed_eos(copy)
    if fault == "shape":
        config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
        config["rms_norm_eps"] = 1e-2
        (copy / "config.json").write_text(json.dumps(config), encoding="utf-8")
    found = certify_full(tiny, copy)
    failed = {each.name for each in found.checks if not each.ok}
    assert check in failed and not found.passed


def _texts(folder: Path) -> Path:
    path = folder / "texts.json"
    rows = [{"text": f"第{n}段文本。" + "模型训练完成后，可以合并、导出并部署。" * 4} for n in range(8)]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


# ---------------------------------------------------------------- models that score
WORDS = {"好": ["很好", "喜欢", "满意"], "坏": ["很坏", "讨厌", "失望"], "平": ["一般", "还行", "普通"]}


def _classified(folder: Path) -> Path:
    rows = [
        {"text": f"这件东西{word}，第{number}号", "label": label}
        for number in range(4)
        for label, words in WORDS.items()
        for word in words
    ]
    path = folder / "classes.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def _preferred(folder: Path) -> Path:
    rows = [
        {
            "messages": [{"role": "user", "content": f"第{number}个问题"}],
            "chosen": [{"role": "assistant", "content": f"好的回答，数字是{number}。"}],
            "rejected": [{"role": "assistant", "content": f"不知道{number}"}],
        }
        for number in range(12)
    ]
    path = folder / "pairs.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "asked", [{}, {"train_type": "full", "learning_rate": 3e-3}, {"train_type": "qlora"}]
)
def test_a_classifier_gives_labels_with_probabilities_and_is_evaluated(
    spec: Any, tmp_path: Path, events: Any, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(_classified(tmp_path))
    whole = {"max_steps": 60, "batch_size": 12, "learning_rate": 1e-2, "validation_split": 0.0, **asked}
    run = tmp_path / "run"
    run_training(spec(stage="classification", dataset=data, **whole), run, events)
    artefact = run / ("model" if asked.get("train_type") == "full" else "lora_adapter")
    certificate = _certificate(artefact)
    assert certificate["passed"], certificate["checks"]
    assert "scores_differ" in {check["name"] for check in certificate["checks"]}
    capsys.readouterr()
    question = "这件东西很好，第2号"
    assert (
        main(["infer", "--checkpoint", str(run), "--mode", "single", "--question", question, "--json"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert said["label"] == "好" and sum(said["scores"].values()) == pytest.approx(1.0)
    assert said["scores"] == pytest.approx(_by_transformers(spec().model, artefact, question), abs=1e-4)
    run_evaluate(EvaluateSpec(checkpoint=str(run), test_data=data), tmp_path / "eval", events)
    found = json.loads((tmp_path / "eval" / "evaluation.json").read_text(encoding="utf-8"))["sets"]["test"]
    matrix = found["confusion"]
    right = sum(matrix[place][place] for place in range(3))
    assert found["metrics"]["accuracy"]["tuned"]["value"] == pytest.approx(right / 36)
    assert found["metrics"]["macro_f1"]["tuned"]["value"] > 0.8
    assert [sum(row) for row in matrix] == [12, 12, 12] and found["unknown_labels"] == 0


def _by_transformers(base: str, artefact: Path, question: str) -> dict[str, float]:
    """The same from plain transformers and peft, as the card beside the artefact says."""
    tokenizer = AutoTokenizer.from_pretrained(artefact)
    if (artefact / "head.json").is_file():
        names = json.loads((artefact / "head.json").read_text(encoding="utf-8"))["labels"]
        plain = AutoModelForSequenceClassification.from_pretrained(
            base, num_labels=len(names), id2label=dict(enumerate(names)), pad_token_id=tokenizer.pad_token_id
        )
        model = PeftModel.from_pretrained(plain, str(artefact)).eval()
    else:
        model = AutoModelForSequenceClassification.from_pretrained(artefact).eval()
        names = list(model.config.id2label.values())
    asked = [{"role": "user", "content": question}]
    ids = tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.no_grad():
        return dict(zip(names, torch.softmax(model(**ids).logits[0], -1).tolist()))


@pytest.mark.parametrize("train_type", ["lora", "full"])
def test_a_reward_model_scores_the_wanted_answer_higher(
    spec: Any, tmp_path: Path, events: Any, train_type: str, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(_preferred(tmp_path))
    rate = 1e-3 if train_type == "full" else 1e-2
    whole = {"max_steps": 25, "validation_split": 0.0, "train_type": train_type, "learning_rate": rate}
    run_training(spec(stage="rm", dataset=data, **whole), tmp_path / "run", events)
    artefact = tmp_path / "run" / ("model" if train_type == "full" else "lora_adapter")
    assert _certificate(artefact)["passed"], _certificate(artefact)["checks"]
    capsys.readouterr()
    scores = []
    for answer in ("好的回答，数字是3。", "不知道3"):
        asked = [
            "infer",
            "--checkpoint",
            str(tmp_path / "run"),
            "--mode",
            "single",
            "--question",
            "第3个问题",
        ]
        assert main([*asked, "--answer", answer, "--json"]) == 0
        scores.append(json.loads(capsys.readouterr().out)["score"])
    assert scores[0] > scores[1]
    with pytest.raises(NoAnswerToScore):
        chat = open_chat(InferSpec(checkpoint=str(tmp_path / "run"), device="cpu"))
        chat.answer([{"role": "user", "content": "第3个问题"}])
    run_evaluate(EvaluateSpec(checkpoint=str(tmp_path / "run"), test_data=data), tmp_path / "eval", events)
    found = json.loads((tmp_path / "eval" / "evaluation.json").read_text(encoding="utf-8"))["sets"]["test"]
    assert found["metrics"]["pair_accuracy"]["tuned"]["value"] > 0.9
    assert found["metrics"]["margin"]["tuned"]["value"] > 0


def test_macro_f1_is_the_mean_over_classes() -> None:
    # Class 0: 2 of 3 found and one said wrongly; class 1: 1 of 2; class 2 was neither seen nor said.
    assert macro_f1(np.array([2, 1, 0, 1, 1, 0, 0, 0, 0])) == pytest.approx((4 / 6 + 2 / 4) / 2)
