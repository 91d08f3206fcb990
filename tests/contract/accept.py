"""What a person may expect after each printed command."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import gguf
from safetensors.torch import load_file
from scratch import Done, Place

from mozhu.kernel.files import read_jsonl
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.manifest import Manifest, manifest_problems
from mozhu.specs.records.result import Result
from mozhu.specs.records.run import RunSpec
from mozhu.specs.records.sidecars import SIDECARS, ModelInfo
from mozhu.specs.records.snapshot import PreparedRow, Snapshot

# The starter's sample rows: the same bytes whenever and wherever they are written.
SAMPLE_ROWS = 10
SEED_000_KEYS = [
    "model_name",
    "base_model",
    "model_type",
    "task",
    "version",
    "created_time",
    "training_dataset",
    "training_steps",
    "performance",
    "file_size",
    "checksum",
    "tags",
    "description",
]


def environment_is_listed(place: Place, done: Done) -> None:
    for name in ("torch", "peft", "gguf", "ms-swift", str(place.root)):
        assert name in done.out, name
    assert "GPU" in done.out


def plan_is_shown_and_nothing_written(place: Place, done: Done) -> None:
    assert "9 steps over 9 rows" in done.out
    assert "it fits in memory" in done.out
    assert done.changed == []
    assert place.path("6_output/training/logs/training.log").is_file()


def every_value_has_its_origin(place: Place, done: Done) -> None:
    values = {
        match["name"]: match["origin"]
        for match in re.finditer(r"^  (?P<name>\w+) += .*\((?P<origin>[^)]*)\)$", done.out, re.MULTILINE)
    }
    config = place.path("0_configs/0_train_config.json")
    assert values["model"] == values["max_length"] == f"file:{config}"
    assert values["lora_rank"] == values["dataset"] == "preset:lora"
    assert values["lora_dropout"] == "default"
    assert "rag_config" in done.out and "starter" in done.out
    assert done.changed == []


def config_file_drove_the_run(place: Place, done: Done) -> None:
    folder = _run_named_in(done, place)
    request = RunSpec.read(folder / "spec.json")
    assert (
        request.fields["max_length"]
        == json.loads(place.path("0_configs/0_train_config.json").read_text())["max_length"]
    )
    assert request.origins["max_length"].startswith("file:")
    assert request.origins["lora_rank"] == "preset:lora"
    check_training_run(folder)
    log = place.path("6_output/training/logs/training.log").read_text(encoding="utf-8")
    assert f" {folder.name} step step=9 total=9 " in log


def toolbox_works(place: Place, done: Done) -> None:
    assert done.out.splitlines()[-1].startswith("{'lora_rank': 8} [")
    assert "ready" in done.said


def ten_sample_rows(place: Place, done: Done) -> None:
    path = place.path("data/sample/sample_data.json")
    content = path.read_bytes()
    rows = json.loads(content)
    assert len(rows) == SAMPLE_ROWS
    for row in rows:
        assert set(row) == {"instruction", "input", "output"}
        assert re.search(r"[\u4e00-\u9fff]", row["instruction"] + row["output"])
    again = place.run("python finetune/create_sample_data.py --output-dir data/again")
    assert again.code == 0
    second = place.path("data/again/sample_data.json").read_bytes()
    assert hashlib.sha256(second).digest() == hashlib.sha256(content).digest()


def rows_are_prepared(place: Place, done: Done) -> None:
    folder = place.path("data/finetune")
    parts = {
        name: list(read_jsonl(folder / f"train_{name}.jsonl")) for name in ("train", "validation", "test")
    }
    assert sum(map(len, parts.values())) == SAMPLE_ROWS and all(parts.values())
    for row in (row for rows in parts.values() for row in rows):
        PreparedRow.model_validate(row)
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert row["text"].startswith("<s>[INST]") and row["messages"][1]["content"] in row["text"]
    assert (folder / "rejected.jsonl").is_file()
    snapshot = Snapshot.read(folder / "snapshot.json")
    assert {name: part.rows for name, part in snapshot.parts.items()} == {n: len(r) for n, r in parts.items()}
    assert "rejected_rows: 0" in done.out


def adapter_is_trained(place: Place, done: Done) -> None:
    folder = place.path("models/finetuned")
    check_training_run(folder)
    fields = RunSpec.read(folder / "spec.json").fields
    wanted = {
        "lora_rank": 8,
        "lora_alpha": 16,
        "num_train_epochs": 3.0,
        "batch_size": 4,
        "learning_rate": 2e-4,
    }
    assert {name: fields[name] for name in wanted} == wanted
    config = json.loads((folder / "lora_adapter/adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    log = place.path("6_output/training/logs/training.log").read_text(encoding="utf-8")
    assert " finetuned step step=6 total=6 " in log and "loss=" in log


def quantisation_or_a_clear_fallback(place: Place, done: Done) -> None:
    """Without a GPU the CPU trains the quantised base, or an unquantised one without bitsandbytes; it says so."""
    check_training_run(place.path("models/quantised"))
    has_gpu = place.run("nvidia-smi -L").code == 0
    assert has_gpu or ("TRAIN-038" in done.err and "no GPU" in done.err) or "TRAIN-021" in done.err
    assert RunSpec.read(place.path("models/quantised/spec.json")).fields["quantization"] == "4bit"


def named_run_is_made(place: Place, done: Done) -> None:
    folder = place.path("6_output/my_model")
    check_training_run(folder)
    fields = RunSpec.read(folder / "spec.json").fields
    assert (fields["dataset"], fields["train_type"]) == ("medical_qa_dataset", "lora")


def preset_run_is_made(place: Place, done: Done) -> None:
    folder = _run_named_in(done, place)
    assert re.fullmatch(r"starter-sample-lora-\d{8}", folder.name)
    check_training_run(folder)


def text_rows_are_trained(place: Place, done: Done) -> None:
    folder = place.path("LLM/lora/lora_output")
    check_training_run(folder)
    fields = RunSpec.read(folder / "spec.json").fields
    assert fields["text_column"] == "text" and Path(fields["dataset"]).parent == place.path("LLM/lora")
    rows = {row for event in _events(folder) if event["kind"] == "step" for row in event["rows"]}
    assert 1 <= len(rows) <= 2


QWEN_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def hub_id_is_refused_offline(place: Place, done: Done) -> None:
    """It is in no cache of this machine, and the settings allow no hub: nothing is asked and nothing written."""
    assert "ENV-003" in done.err and "`dataset_owner/dataset_name`" in done.err
    assert "1_model_config.json" in done.err and "Traceback" not in done.said
    assert done.changed == []


def cached_data_set_is_trained(place: Place, done: Done) -> None:
    folder = place.path("lora_output")
    check_training_run(folder)
    assert RunSpec.read(folder / "spec.json").fields["dataset"] == "dataset_owner/dataset_name"
    assert {row for event in _events(folder) if event["kind"] == "step" for row in event["rows"]}


def model_is_saved_for_offline_use(place: Place, done: Done) -> None:
    """What the printed Python saves is a whole model; its copy by our own command works without remote code."""
    folder = place.path("local_model_directory")
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {path.name for path in folder.iterdir()}
    assert not list(folder.glob("*.py"))


def qwen_adapter_is_made(place: Place, done: Done) -> None:
    """Rank and alpha as typed; the seven modules were found without being told."""
    folder = place.path("lora-qwen2.5-output")
    check_training_run(folder)
    config = json.loads((folder / "lora_adapter/adapter_config.json").read_text(encoding="utf-8"))
    assert (config["r"], config["lora_alpha"]) == (8, 16)
    assert sorted(config["target_modules"]) == sorted(QWEN_MODULES)
    evaluated = [event["rows"] for event in _events(folder) if event["kind"] == "eval"]
    assert evaluated and set(evaluated) == {1}, "a tenth of the rows was held out by itself"


def trained_without_a_network_call(place: Place, done: Done) -> None:
    qwen_adapter_is_made(place, done)
    assert (place.root.parent / "network.txt").read_text(encoding="utf-8") == ""


def qwen_adapter_on_a_quantised_base(place: Place, done: Done) -> None:
    """On a CPU the quantised base is trained where bitsandbytes is installed, else an unquantised one; it is said."""
    qwen_adapter_is_made(place, done)
    has_gpu = place.run("nvidia-smi -L").code == 0
    assert has_gpu or "TRAIN-038" in done.err or "TRAIN-021" in done.err
    bits = "8bit" if "--use_8bit" in (place.root.parent / "typed.txt").read_text() else "4bit"
    assert RunSpec.read(place.path("lora-qwen2.5-output/spec.json")).fields["quantization"] == bits


def named_modules_length_and_own_validation(place: Place, done: Done) -> None:
    """The printed list with commas and blanks; the data set's own validation rows, and no others."""
    folder = place.path("lora-qwen2.5-output")
    check_training_run(folder)
    config = json.loads((folder / "lora_adapter/adapter_config.json").read_text(encoding="utf-8"))
    assert sorted(config["target_modules"]) == sorted(QWEN_MODULES)
    assert RunSpec.read(folder / "spec.json").fields["max_length"] == 96
    events = _events(folder)
    assert {event["rows"] for event in events if event["kind"] == "eval"} == {3}
    trained = {row for event in events if event["kind"] == "step" for row in event["rows"]}
    assert len(trained) == 12, "every row of the training part, none held out"


def talks_until_the_end_of_input(place: Place, done: Done) -> None:
    answers = re.findall(r"model> (.+)", done.out)
    assert len(answers) == 1 and answers[0].strip()


def talks_until_exit(place: Place, done: Done) -> None:
    answers = re.findall(r"model> (.+)", done.out)
    assert len(answers) == 2 and all(answer.strip() for answer in answers)


def one_answer(place: Place, done: Done) -> None:
    assert len(done.out.strip().splitlines()) >= 1 and done.out.strip()
    assert "Traceback" not in done.err


def one_answer_a_line(place: Place, done: Done) -> None:
    answers = [json.loads(line) for line in done.out.splitlines()]
    assert len(answers) == 2 and answers[1]["id"] == 7
    assert all(answer["answer"].strip() for answer in answers)


def table_has_one_row_a_test_row(place: Place, done: Done) -> None:
    tests = list(read_jsonl(place.path("data/finetune/train_test.jsonl")))
    with open(place.path("evaluation_results.csv"), encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["row_id"] for row in rows] == [row["row_id"] for row in tests]
    for row, test in zip(rows, tests, strict=True):
        assert row["prompt"] == test["messages"][0]["content"]
        assert row["reference"] == test["messages"][1]["content"]
        assert row["answer"].strip() and row["base_answer"].strip()
        for metric in ("perplexity", "rougeL", "bleu", "f1"):
            float(row[metric]), float(row[f"base_{metric}"])


def adapter_is_merged(place: Place, done: Done) -> None:
    name = "LLM/lora/merged_model" if "LLM/lora/merged_model/config.json" in done.changed else "merged_model"
    _check_merged(place.path(name))


def merged_beside_the_adapter(place: Place, done: Done) -> None:
    _check_merged(place.path("models/finetuned/merged_model"))


def wrong_base_is_refused(place: Place, done: Done) -> None:
    assert "EXPORT-004" in done.err and "weights differs" in done.err
    assert "Traceback" not in done.err
    assert not place.path("LLM/lora/wrong").exists()
    assert not [name for name in done.changed if not name.startswith("6_output/")]


def gguf_with_modelfile(place: Place, done: Done) -> None:
    kind = next(name for name in ("Q4_K_M", "Q5_K_M", "Q8_0", "F16") if f"-{name}/" in done.out)
    folder = place.path(f"models/finetuned/gguf/llama2-finetuned-{kind}")
    path = folder / f"llama2-finetuned-{kind}.gguf"
    reader = gguf.GGUFReader(path)
    assert reader.get_field("general.architecture").contents() == "qwen2"
    kinds = {tensor.tensor_type.name for tensor in reader.tensors}
    expected = {"Q4_K_M": "Q4_K", "Q5_K_M": "Q5_K"}.get(kind, kind)
    assert expected in kinds
    modelfile = (folder / "Modelfile").read_text(encoding="utf-8")
    assert re.search(rf"^FROM (\./)?{re.escape(path.name)}$", modelfile, re.MULTILINE)
    assert re.search(r'^PARAMETER stop "<\|im_end\|>"$', modelfile, re.MULTILINE)
    assert Certificate.read(folder / "certificate.json").passed
    assert manifest_problems(folder, Manifest.read(folder / "manifest.json")) == []


def other_formats_are_named(place: Place, done: Done) -> None:
    """ONNX is not written; the answer is the form that is."""
    assert "--format safetensors --output_path ./model" in done.err
    assert not place.path("5_models/model.onnx").exists()


def pickle_is_safetensors(place: Place, done: Done) -> None:
    folder = place.path("5_models/safe")
    assert load_file(folder / "model.safetensors")["weight"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert Certificate.read(folder / "certificate.json").passed
    assert manifest_problems(folder, Manifest.read(folder / "manifest.json")) == []


def registry_answers(place: Place, done: Done) -> None:
    assert "register" in done.said
    assert "Traceback" not in done.err


def model_is_registered(place: Place, done: Done) -> None:
    folder = place.path("5_models/finetuned/lora/my_model")
    info = ModelInfo.read(folder / "model_info.json")
    assert f"{info.model_name}:{info.version}" in done.said
    assert all((folder / name).is_file() for name in SIDECARS)
    assert place.path("5_models/catalog.db").is_file()


def registry_lists_it(place: Place, done: Done) -> None:
    info = ModelInfo.read(place.path("5_models/finetuned/lora/my_model/model_info.json"))
    assert info.model_name in done.out and info.version in done.out


def model_is_whole(place: Place, done: Done) -> None:
    assert "is whole" in done.out


def damage_is_named(place: Place, done: Done) -> None:
    assert "model.safetensors" in done.out and "error" in done.out


def check_training_run(folder: Path) -> None:
    """A finished training: records, gapless events, a falling loss curve, and an adapter with its proof."""
    result = Result.read(folder / "result.json")
    assert result.state == "succeeded"
    events = _events(folder)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["kind"] == "done"
    adapter = folder / "lora_adapter"
    assert (folder / "checkpoint-final").resolve() == adapter.resolve()
    assert manifest_problems(adapter, Manifest.read(adapter / "manifest.json")) == []
    check_sidecars(adapter)
    assert (adapter / "adapter_model.safetensors").stat().st_size > 0
    assert Certificate.read(adapter / "certificate.json").checks
    assert (folder / "report.html").is_file()


def check_sidecars(folder: Path) -> None:
    """Seed 000's sidecars, with exactly its keys in its order."""
    assert all((folder / name).is_file() for name in SIDECARS)
    content = json.loads((folder / "model_info.json").read_text(encoding="utf-8"))
    assert list(content) == SEED_000_KEYS
    ModelInfo.model_validate(content)


def _check_merged(folder: Path) -> None:
    certificate = Certificate.read(folder / "certificate.json")
    assert certificate.kind == "merge" and certificate.passed
    checks = {check.name: check for check in certificate.checks}
    # A base in 16 bits is merged in 16 bits: there the answers agree; in 32 bits the logits are equal.
    compared = checks.get("max_abs_logit_difference") or checks["top1_agreement"]
    assert compared.ok and checks["adapter_effect"].ok and checks["template_parity"].ok
    assert manifest_problems(folder, Manifest.read(folder / "manifest.json")) == []
    assert {"config.json", "tokenizer.json", "tokenizer_config.json"} <= {
        path.name for path in folder.iterdir()
    }


def _events(folder: Path) -> list[dict[str, Any]]:
    return list(read_jsonl(folder / "events.jsonl"))


def _run_named_in(done: Done, place: Place) -> Path:
    """The run folder that the command says it used."""
    match = re.search(r"adapter: (\S+)/lora_adapter", done.out)
    assert match, done.said
    return place.root / match[1]
