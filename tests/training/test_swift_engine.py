"""One spec, either engine: ms-swift trains our rows and labels, and what it leaves is our artefact.

The environment of ms-swift takes 2 GB from a package index, so most of this file asks for one that is there:
``mozhu engines install swift``, or ``TEST_SWIFT_ENVIRONMENT`` with the folder of one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from mozhu.engine.training.checkpoints import last_checkpoint
from mozhu.engine.training.engines.hf import HfEngine
from mozhu.engine.training.engines.swift import engine as swift
from mozhu.engine.training.engines.swift.fields import TABLE, Setting, arguments
from mozhu.engine.training.engines.swift.hand_over import PLUGIN
from mozhu.engine.training.run import run_training
from mozhu.engine.training.stop import StopFlag
from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import EngineMissing, EngineStopped, LossNotFinite, UnsupportedByEngine
from mozhu.kernel.files import write_jsonl
from mozhu.workspace.environments.install import described
from mozhu.workspace.environments.recipes import find_recipe
from mozhu.workspace.environments.record import Environment, find_environment, write_record

_HERE = find_environment("swift")


@pytest.fixture(scope="session")
def found() -> Environment:
    """The environment of ms-swift on this machine."""
    named = os.environ.get("TEST_SWIFT_ENVIRONMENT")
    if _HERE is not None:
        return _HERE
    if not named:
        pytest.skip("ms-swift has no environment here: `mozhu engines install swift` makes it")
    return described(find_recipe("swift"), Path(named), owned=False)


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No environments but those that a test puts there."""
    monkeypatch.setenv("MOZHU_ENGINES", str(tmp_path / "engines"))
    return tmp_path / "engines"


@pytest.fixture
def with_swift(engines: Path, found: Environment) -> None:
    write_record(found)


def _adapter(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "lora_adapter" / "adapter_model.safetensors")


# ---------------------------------------------------------------- without the environment


def test_without_its_environment_the_error_says_how_to_get_it(
    spec: Any, tmp_path: Path, events: Any, engines: Path
) -> None:
    with pytest.raises(EngineMissing) as caught:
        run_training(spec(engine="swift"), tmp_path / "run", events)
    assert "mozhu engines install swift" in caught.value.next


def test_all_that_the_engine_cannot_do_is_told_in_one_pass(spec: Any, engines: Path) -> None:
    asked = spec(engine="swift", train_type="prefix", lora_init="pissa", device="mps")
    found = swift.SwiftEngine().check(asked)
    errors = {each.params.get("field") for each in found if each.level == "error"}
    assert errors == {None, "train_type", "lora_init", "device"}  # None: the environment that is missing
    assert all(each.params["engine"] == "swift" for each in found if each.level == "error")


def test_a_base_with_code_of_its_own_is_refused(spec: Any, tiny: Path, tmp_path: Path, engines: Path) -> None:
    base = tmp_path / "base"
    subprocess.run(["cp", "-r", str(tiny), str(base)], check=True)
    config = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "evil.Config"}}))
    found = swift.SwiftEngine().check(spec(engine="swift", model=str(base)))
    assert "model" in {each.params.get("field") for each in found}


def test_the_engines_own_words_are_told_when_it_fails(
    spec: Any, tmp_path: Path, events: Any, engines: Path
) -> None:
    """An environment whose command fails: its error is ours to tell, with the log that holds the rest."""
    place = tmp_path / "broken" / "bin"
    place.mkdir(parents=True)
    (place / "python").symlink_to(sys.executable)
    script = (
        "#!/bin/sh\necho Traceback >&2\necho '  File x' >&2\necho 'ValueError: no such thing' >&2\nexit 3\n"
    )
    (place / "swift").write_text(script)
    (place / "swift").chmod(0o755)
    write_record(Environment("swift", str(place.parent), {"ms-swift": "4.6.0"}))
    with pytest.raises(EngineStopped) as caught:
        run_training(spec(engine="swift"), tmp_path / "run", events)
    assert caught.value.params["tail"] == "ValueError: no such thing"
    assert Path(caught.value.params["log"]).is_file()


def test_what_the_engine_cannot_do_never_starts_it(
    spec: Any, tmp_path: Path, events: Any, engines: Path
) -> None:
    place = tmp_path / "there" / "bin"
    place.mkdir(parents=True)
    (place / "python").symlink_to(sys.executable)
    write_record(Environment("swift", str(place.parent), {"ms-swift": "4.6.0"}))
    with pytest.raises(UnsupportedByEngine) as caught:
        run_training(spec(engine="swift", train_type="ia3", lora_init="pissa"), tmp_path / "run", events)
    assert "--train_type ia3" in caught.value.what and "--lora_init pissa" in caught.value.what


def _setting(make: Any, tmp_path: Path, **changes: Any) -> Setting:
    fields: dict[str, Any] = {
        "spec": make(engine="swift"),
        "base": tmp_path / "base",
        "folder": tmp_path / "run",
        "steps": 33,
        "an_epoch": 11,
        "validates": True,
        "learning_rate": 3e-4,
        "max_length": 128,
        "targets": ("q_proj", "v_proj"),
        "device": "cpu",
        "dtype": "float32",
        "quantization": "none",
        "flat": False,
        "plugin": PLUGIN,
    }
    return Setting(**{**fields, **changes})


def test_each_of_our_fields_reaches_ms_swift_under_its_own_name(spec: Any, tmp_path: Path) -> None:
    asked = spec(
        engine="swift",
        batch_size=7,
        gradient_accumulation_steps=3,
        lr_scheduler="linear",
        warmup_ratio=0.1,
        weight_decay=0.02,
        max_grad_norm=0.7,
        lora_rank=5,
        lora_alpha=9,
        lora_dropout=0.25,
        use_rslora=True,
        use_dora=True,
        gradient_checkpointing=True,
        eval_steps=4,
        save_steps=6,
        logging_steps=2,
        seed=11,
        num_train_epochs=2.5,
    )
    found = arguments(_setting(spec, tmp_path, spec=asked))
    wanted = {
        "per_device_train_batch_size": 7,
        "gradient_accumulation_steps": 3,
        "learning_rate": 3e-4,
        "lr_scheduler_type": "linear",
        "warmup_steps": 4,
        "weight_decay": 0.02,
        "max_grad_norm": 0.7,
        "tuner_type": "lora",
        "lora_rank": 5,
        "lora_alpha": 9,
        "lora_dropout": 0.25,
        "use_rslora": True,
        "use_dora": True,
        "target_modules": ["q_proj", "v_proj"],
        "gradient_checkpointing": True,
        "eval_steps": 4,
        "save_steps": 6,
        "logging_steps": 2,
        "seed": 11,
        "data_seed": 11,
        "max_steps": 33,
        "num_train_epochs": 2.5,
        "max_length": 128,
        "torch_dtype": "float32",
        "use_cpu": True,
        "report_to": ["none"],
        "add_version": False,
        "split_dataset_ratio": 0.0,
        "adam_beta2": 0.999,
        "packing": False,
    }
    assert {name: found[name] for name in wanted} == wanted


def test_float32_copies_are_float32_weights_that_ms_swift_multiplies_in_bfloat16(
    spec: Any, tmp_path: Path
) -> None:
    names = ("torch_dtype", "bf16")
    full = spec(engine="swift", train_type="full", neftune_noise_alpha=5.0)
    for asked, wanted in (
        (full, ("float32", True)),
        (full.model_copy(update={"master_weights": False}), ("bfloat16", False)),
        (spec(engine="swift"), ("bfloat16", False)),
    ):
        found = arguments(_setting(spec, tmp_path, spec=asked, dtype="bfloat16"))
        assert tuple(found[name] for name in names) == wanted
        assert found.get("neftune_noise_alpha") == asked.neftune_noise_alpha


def test_nothing_is_passed_as_the_word_none(spec: Any, tmp_path: Path) -> None:
    """ms-swift reads its file as words: a null would arrive as the text "None"."""
    for changes in ({}, {"validates": False}, {"spec": spec(train_type="full")}, {"quantization": "4bit"}):
        found = arguments(_setting(spec, tmp_path, **changes))
        assert None not in found.values()
        assert "train_type" not in found
    full = arguments(_setting(spec, tmp_path, spec=spec(train_type="full")))
    assert not [name for name in full if name.startswith("lora_")]
    bits = arguments(_setting(spec, tmp_path, quantization="4bit"))
    assert (bits["quant_method"], bits["quant_bits"], bits["bnb_4bit_quant_type"]) == ("bnb", 4, "nf4")
    assert "val_dataset" not in arguments(_setting(spec, tmp_path, validates=False))


# ---------------------------------------------------------------- with it


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "batch", "accumulated"), [("sft", 16, 1), ("sft", 4, 2), ("pt", 16, 1)], ids=str
)
def test_both_engines_see_the_same_rows_and_lose_the_same(
    stage: str,
    batch: int,
    accumulated: int,
    spec: Any,
    tmp_path: Path,
    events: Any,
    with_swift: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One step of all rows: whatever their order, ids, labels and loss must be the same, also of the validation."""
    shown = tmp_path / "first.json"
    monkeypatch.setenv("MOZHU_FIRST_BATCH", str(shown))
    data = tmp_path / "rows.jsonl"
    texts = [{"text": f"第{n}行：" + "山高水长，春去秋来。" * (1 + n % 3)} for n in range(10)]
    write_jsonl(data, texts)
    asked = {
        "dataset": "sample" if stage == "sft" else str(data),
        "stage": stage,
        "batch_size": batch,
        "gradient_accumulation_steps": accumulated,
        "max_steps": 2,
        "lr_scheduler": "constant",
        "validation_split": 0.2,
    }
    kept: dict[str, Any] = {}
    run = HfEngine.run

    def seen(self: Any, asked: Any, model: Any, data: Any, *rest: Any) -> Any:
        kept["train"] = [data.train[at] for at in range(len(data.train))]
        return run(self, asked, model, data, *rest)

    monkeypatch.setattr(HfEngine, "run", seen)
    told = {name: type(events)() for name in ("hf", "swift")}
    for name, heard in told.items():
        run_training(spec(engine=name, **asked), tmp_path / name, heard)
    ours, theirs = told["hf"], told["swift"]
    assert theirs.of("step")[0]["loss"] == pytest.approx(ours.of("step")[0]["loss"], abs=1e-4)
    assert theirs.of("eval")[0]["loss"] == pytest.approx(ours.of("eval")[0]["loss"], abs=1e-4)
    assert theirs.of("step")[0]["tokens"] == ours.of("step")[0]["tokens"]
    assert sorted(theirs.of("step")[0]["rows"]) == sorted(ours.of("step")[0]["rows"])
    assert theirs.of("step")[1]["loss"] < theirs.of("step")[0]["loss"]
    _same_rows(json.loads(shown.read_text()), kept["train"])


def _same_rows(batch: dict[str, Any], examples: list[Any]) -> None:
    """Each row of ms-swift's batch is ours: its ids, its labels, and padding that is neither read nor learned."""
    assert batch["rows"]
    for place, row in enumerate(batch["rows"]):
        example = examples[row]
        length = len(example.ids)
        assert batch["input_ids"][place][:length] == list(example.ids)
        assert batch["labels"][place][1:length] == list(example.labels)[1:]
        assert set(batch["labels"][place][length:]) <= {-100}
        assert batch["attention_mask"][place] == [1] * length + [0] * (len(batch["labels"][place]) - length)


@pytest.mark.slow
def test_what_it_leaves_is_our_artefact_and_measures_as_it_told(
    spec: Any, tiny: Path, tmp_path: Path, events: Any, with_swift: None
) -> None:
    """The adapter loads on its base here, answers otherwise than the base, and has the loss of the last validation."""
    outcome = run_training(spec(engine="swift", save_total_limit=1, save_steps=2), tmp_path / "run", events)
    adapter = tmp_path / "run" / "lora_adapter"
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny)
    assert json.loads((adapter / "certificate.json").read_text())["passed"] is True
    assert outcome.metrics["eval_loss"].value == pytest.approx(events.of("eval")[-1]["loss"])
    told = type(events)()
    rerun = spec(engine="hf", max_steps=1, learning_rate=1e-12, model=_merged(tiny, adapter, tmp_path))
    run_training(rerun, tmp_path / "again", told)
    assert told.of("eval")[0]["loss"] == pytest.approx(events.of("eval")[-1]["loss"], rel=1e-4)
    steps = events.of("step")
    assert [each["step"] for each in steps] == [1, 2, 3, 4, 5, 6]
    assert all(each["rows"] and each["tokens_per_s"] > 0 and each["eta_s"] >= 0 for each in steps)
    assert steps[-1]["tokens"] > steps[0]["tokens"] > 0
    assert [each["step"] for each in events.of("checkpoint")] == [2, 4, 6]
    kept = [path.name for path in (tmp_path / "run").glob("checkpoint-*") if not path.is_symlink()]
    assert kept == ["checkpoint-6"]
    assert not (tmp_path / "run" / ".swift").exists()


def _merged(base: Path, adapter: Path, place: Path) -> str:
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
    model.merge_and_unload().save_pretrained(place / "merged")
    AutoTokenizer.from_pretrained(base).save_pretrained(place / "merged")
    return str(place / "merged")


@pytest.mark.slow
def test_a_stopped_run_saves_its_step_and_resumes_to_the_same_adapter(
    spec: Any, tmp_path: Path, events: Any, with_swift: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spec(engine="swift", max_steps=40, save_steps=50, batch_size=1)
    run_training(asked, tmp_path / "whole", events)
    stopped = type(events)()

    class StopsAtThree(StopFlag):
        """As if Ctrl-C came during the third step."""

        @property  # type: ignore[override]
        def is_set(self) -> bool:
            return len(stopped.of("step")) >= 2

        @is_set.setter
        def is_set(self, value: bool) -> None:
            pass

    with monkeypatch.context() as patch:
        patch.setattr(swift, "StopFlag", StopsAtThree)
        with pytest.raises(KeyboardInterrupt):
            run_training(asked, tmp_path / "cut", stopped)
    kept = last_checkpoint(tmp_path / "cut")
    done = stopped.of("step")[-1]["step"]
    assert kept is not None and kept.name == f"checkpoint-{done}"
    assert done < 40
    again = type(events)()
    run_training(asked, tmp_path / "cut", again)
    assert [each["step"] for each in again.of("step")] == list(range(done + 1, 41))
    one, two = _adapter(tmp_path / "whole"), _adapter(tmp_path / "cut")
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_the_engine_goes_when_the_run_is_killed(
    spec: Any, tmp_path: Path, events: Any, with_swift: None
) -> None:
    """kill -9 of the run leaves no process that writes into its folder, and the run goes on afterwards."""
    asked = spec(engine="swift", max_steps=60, save_steps=5, batch_size=1)
    run = tmp_path / "run"
    (tmp_path / "spec.json").write_text(asked.model_dump_json())
    script = (
        "import sys; from pathlib import Path; from mozhu.specs.train import TrainSpec\n"
        "from mozhu.engine.training.run import run_training\n"
        "spec = TrainSpec.model_validate_json(Path(sys.argv[1]).read_text())\n"
        "run_training(spec, Path(sys.argv[2]), lambda kind, **fields: None)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "spec.json"), str(run)])
    deadline = time.monotonic() + 120
    while last_checkpoint(run) is None and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.05)
    child.kill()
    child.wait()
    deadline = time.monotonic() + 20
    while _writers(run) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _writers(run) == []
    kept = last_checkpoint(run)
    assert kept is not None
    run_training(asked, run, events)
    assert events.of("step")[0]["step"] == int(kept.name.partition("-")[2]) + 1
    assert events.of("step")[-1]["step"] == 60


def _writers(run: Path) -> list[int]:
    """Processes that were started with a file of ``run``."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(run / ".swift") in word for word in process.info["cmdline"] or ())
    ]


@pytest.mark.slow
def test_a_full_fine_tune_is_a_model_of_its_own(
    spec: Any, tmp_path: Path, events: Any, with_swift: None
) -> None:
    outcome = run_training(
        spec(engine="swift", train_type="full", learning_rate=1e-3, max_steps=2), tmp_path / "run", events
    )
    assert outcome.artefacts[0].kind == "model"
    told = type(events)()
    model = str(tmp_path / "run" / "model")
    run_training(spec(model=model, max_steps=1, learning_rate=1e-12), tmp_path / "again", told)
    assert told.of("eval")[0]["loss"] == pytest.approx(events.of("eval")[-1]["loss"], rel=1e-5)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_ends_the_run(
    spec: Any, tmp_path: Path, events: Any, with_swift: None
) -> None:
    asked = spec(
        engine="swift", train_type="full", learning_rate=1e30, lr_scheduler="constant", warmup_ratio=0
    )
    with pytest.raises(LossNotFinite):
        run_training(asked, tmp_path / "run", events)
    assert _writers(tmp_path / "run") == []


@pytest.mark.slow
def test_every_argument_is_one_that_ms_swift_knows(spec: Any, tmp_path: Path, found: Environment) -> None:
    names = "import dataclasses, json; from swift.arguments import RLHFArguments\n"
    names += "print('NAMES' + json.dumps([f.name for f in dataclasses.fields(RLHFArguments)]))"
    told = subprocess.run([str(found.python), "-I", "-c", names], capture_output=True, text=True, check=True)
    known = set(json.loads(next(x for x in told.stdout.splitlines() if x.startswith("NAMES"))[5:]))
    assert set(TABLE) <= known


@pytest.mark.slow
def test_a_quantised_base_trains_on_a_cpu_with_validations_in_between(
    spec: Any, tmp_path: Path, events: Any, found: Environment, with_swift: None
) -> None:
    if not found.version("bitsandbytes"):
        pytest.skip("this environment of ms-swift has no bitsandbytes")
    asked = spec(engine="swift", train_type="qlora", max_steps=4, eval_steps=2)
    run_training(asked, tmp_path / "run", events)
    losses = [each["loss"] for each in events.of("step")]
    assert losses[-1] < losses[0]
    assert [each["step"] for each in events.of("eval")] == [0, 2, 4]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "batch", "accumulated"), [("dpo", 4, 2), ("orpo", 1, 8)])
def test_both_engines_see_the_same_pairs_and_lose_the_same(
    stage: str,
    batch: int,
    accumulated: int,
    spec: Any,
    tmp_path: Path,
    events: Any,
    with_swift: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """ORPO one pair a batch: with several, ms-swift's part for the wanted answers is a mean of tokens, not of pairs."""
    shown = tmp_path / "first.json"
    monkeypatch.setenv("MOZHU_FIRST_BATCH", str(shown))
    said = [(f"好的回答，数字是{n}。" + "山高水长。" * (n % 3), f"不知道{n}") for n in range(10)]
    rows = [
        {"prompt": f"第{n}个问题", "chosen": chosen, "rejected": rejected}
        for n, (chosen, rejected) in enumerate(said)
    ]
    write_jsonl(tmp_path / "pairs.jsonl", rows)
    asked = {
        "dataset": str(tmp_path / "pairs.jsonl"),
        "stage": stage,
        "batch_size": batch,
        "gradient_accumulation_steps": accumulated,
        "max_steps": 3,
        "lr_scheduler": "constant",
        "validation_split": 0.2,
        "beta": 0.2,
    }
    told = {name: type(events)() for name in ("hf", "swift")}
    for name, heard in told.items():
        run_training(spec(engine=name, **asked), tmp_path / name, heard)
    ours, theirs = told["hf"], told["swift"]
    assert theirs.of("step")[0]["loss"] == pytest.approx(ours.of("step")[0]["loss"], abs=1e-4)
    assert theirs.of("eval")[0]["loss"] == pytest.approx(ours.of("eval")[0]["loss"], abs=1e-4)
    assert theirs.of("step")[0]["tokens"] == ours.of("step")[0]["tokens"]
    assert sorted(theirs.of("step")[0]["rows"]) == sorted(ours.of("step")[0]["rows"])
    assert theirs.of("step")[2]["loss"] < theirs.of("step")[0]["loss"]
    assert (tmp_path / "swift" / "lora_adapter" / "adapter_model.safetensors").is_file()
    first = json.loads(shown.read_text())
    assert len(first["rows"]) == 2 * batch  # wanted answers, then the unwanted ones
    assert [row % 2 for row in first["rows"]] == [0] * batch + [1] * batch
    assert all(set(labels) != {-100} for labels in first["labels"])


def test_what_it_learns_otherwise_is_refused(spec: Any, engines: Path) -> None:
    for asked, field in (
        ({"stage": "dpo", "train_type": "full"}, "train_type"),
        ({"stage": "kto", "train_type": "full"}, "train_type"),
        ({"stage": "rm", "train_type": "full"}, "train_type"),
        *(({"stage": stage, "lora_dropout": 0.1}, "lora_dropout") for stage in ("dpo", "orpo", "kto", "rm")),
    ):
        found = swift.SwiftEngine().check(spec(engine="swift", **asked))
        assert field in {each.params.get("field") for each in found if each.level == "error"}
    found = swift.SwiftEngine().check(spec(engine="swift", stage="kto", wanted_weight=1.5))
    assert {each.params.get("field") for each in found if each.level == "error"} == {None}


def test_marked_rows_and_heads_reach_ms_swift_under_its_own_names(spec: Any, tmp_path: Path) -> None:
    kto = arguments(_setting(spec, tmp_path, spec=spec(stage="kto", wanted_weight=1.5, beta=0.3)))
    wanted = {"rlhf_type": "kto", "desirable_weight": 1.5, "undesirable_weight": 1.0, "beta": 0.3}
    assert {name: kto[name] for name in wanted} == wanted and kto["task_type"] == "causal_lm"
    rm = arguments(_setting(spec, tmp_path, spec=spec(stage="rm")))
    assert (rm["rlhf_type"], rm["task_type"], rm["num_labels"]) == ("rm", "seq_cls", 1)
    assert not {"beta", "desirable_weight", "problem_type"} & set(rm)
    classes = arguments(_setting(spec, tmp_path, spec=spec(stage="classification"), labels=3))
    assert (classes["task_type"], classes["num_labels"]) == ("seq_cls", 3)
    assert classes["problem_type"] == "single_label_classification" and "rlhf_type" not in classes


def _rows_of(stage: str) -> list[dict[str, Any]]:
    if stage == "rm":
        return [
            {
                "prompt": f"第{n}个问题",
                "chosen": f"好的回答{n}。" + "山高水长。" * (n % 3),
                "rejected": f"不知道{n}",
            }
            for n in range(10)
        ]
    if stage == "kto":
        return [
            {"prompt": f"第{n}个问题", "completion": f"回答{n}" * (1 + n % 3), "label": bool(n % 2)}
            for n in range(10)
        ]
    return [{"text": f"第{n}句话" * (1 + n % 3), "label": ("好", "坏", "一般")[n % 3]} for n in range(12)]


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["kto", "rm", "classification"])
def test_both_engines_mark_and_score_the_same_rows_and_lose_the_same(
    stage: str, spec: Any, tmp_path: Path, events: Any, with_swift: None
) -> None:
    """One batch of all rows: their order changes only which answers KTO exchanges, and that counts after a step."""
    rows = _rows_of(stage)
    write_jsonl(tmp_path / "rows.jsonl", rows)
    asked = {
        "dataset": str(tmp_path / "rows.jsonl"),
        "stage": stage,
        "batch_size": 16,
        "max_steps": 3,
        "lr_scheduler": "constant",
        "validation_split": 0.3,
        **({"beta": 0.3, "wanted_weight": 1.5} if stage == "kto" else {}),
    }
    told = {name: type(events)() for name in ("hf", "swift")}
    outcomes = {
        name: run_training(spec(engine=name, **asked), tmp_path / name, heard) for name, heard in told.items()
    }
    ours, theirs = told["hf"], told["swift"]
    assert theirs.of("step")[0]["loss"] == pytest.approx(ours.of("step")[0]["loss"], abs=1e-4)
    assert theirs.of("eval")[0]["loss"] == pytest.approx(ours.of("eval")[0]["loss"], abs=1e-4)
    assert theirs.of("eval")[0]["rows"] == ours.of("eval")[0]["rows"]
    assert theirs.of("step")[0]["tokens"] == ours.of("step")[0]["tokens"]
    assert sorted(theirs.of("step")[0]["rows"]) == sorted(ours.of("step")[0]["rows"])
    assert theirs.of("step")[2]["loss"] < theirs.of("step")[0]["loss"]
    assert "eval_perplexity" not in outcomes["swift"].metrics
    if stage != "kto":  # the second step is of the same rows, too
        assert theirs.of("step")[1]["loss"] == pytest.approx(ours.of("step")[1]["loss"], abs=1e-4)
        heads = [json.loads((tmp_path / name / "lora_adapter" / "head.json").read_text()) for name in told]
        assert heads[0] == heads[1]
    assert set(_adapter(tmp_path / "swift")) == set(_adapter(tmp_path / "hf"))
    again = load_model(find_model(str(tmp_path / "swift" / "lora_adapter")))
    assert again.training is False
