"""Configurations of LLaMA-Factory, ms-swift and Axolotl become ours, or say line by line what cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mozhu.cli.main import main
from mozhu.engine.training.importers import axolotl, llama_factory, ms_swift
from mozhu.engine.training.importers.forms import FORMS, form_of
from mozhu.engine.training.importers.run import run_import
from mozhu.engine.training.importers.shell_words import shell_commands
from mozhu.engine.training.importers.work import STATUSES
from mozhu.kernel.errors import (
    MissingFile,
    TargetExists,
    UnknownForeignConfig,
    UnreadableForeignConfig,
    UnsupportedForeignConfig,
    WrongForeignConfig,
)
from mozhu.kernel.texts import page_texts
from mozhu.specs.config import ConfigImportSpec
from mozhu.specs.fields import fields_of
from mozhu.specs.layers import Layers, resolve
from mozhu.specs.train import TrainSpec

pytest.importorskip("yaml")

LLAMA_FACTORY = """\
# a LoRA as people write it
model_name_or_path: models/base
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 16
lora_target: q_proj,v_proj
dataset: doctors
dataset_dir: data
template: qwen
cutoff_len: 1024
overwrite_cache: true
output_dir: saves/doctors
per_device_train_batch_size: 2
gradient_accumulation_steps: 8
learning_rate: 1e-4
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
"""
SWIFT = """\
#!/bin/bash
# one GPU is enough
CUDA_VISIBLE_DEVICES=0 \\
swift sft \\
    --model ./base \\
    --train_type lora \\
    --dataset 'owner/rows:part#500' \\
    --torch_dtype bfloat16 \\
    --target_modules q_proj v_proj \\
    --per_device_train_batch_size 4 \\
    --system "You are a doctor." \\
    --warmup_ratio 0.05 \\

# swift infer --adapters output/x
"""
AXOLOTL = """\
base_model: ./base
datasets:
  - path: rows.jsonl
    type: chat_template
adapter: qlora
load_in_4bit: true
sequence_len: 512
lora_r: 32
lora_alpha: 16
lora_target_linear: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 2
optimizer: paged_adamw_8bit
learning_rate: 0.0002
bf16: auto
flash_attention: true
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    entry = {"doctors": {"file_name": "doctors.json"}, "nurses": {"file_name": "nurses.json"}}
    (tmp_path / "data" / "dataset_info.json").write_text(json.dumps(entry))
    return tmp_path


def imported(content: str, name: str = "mine.yaml", **fields: Any) -> Any:
    Path(name).write_text(content)
    return run_import(ConfigImportSpec(file=name, **fields))


def lines_of(found: Any, key: str) -> list[Any]:
    return [line for line in found.lines if line.key == key]


def refused(content: str, name: str = "mine.yaml", **fields: Any) -> dict[str, Any]:
    with pytest.raises(UnsupportedForeignConfig) as error:
        imported(content, name, **fields)
    return {setting["key"]: setting for setting in error.value.params["settings"]}  # type: ignore[attr-defined]


def test_llama_factory_s_settings_become_ours_with_its_own_defaults() -> None:
    found = imported(LLAMA_FACTORY)
    assert found.form.name == "LLaMA-Factory"
    values = found.values
    assert values["model"] == "models/base"
    assert values["dataset"] == "data/dataset_info.json:doctors"
    assert (values["batch_size"], values["gradient_accumulation_steps"]) == (2, 8)
    assert (values["learning_rate"], values["warmup_ratio"], values["max_length"]) == (1e-4, 0.1, 1024)
    assert (values["lora_rank"], values["lora_alpha"]) == (16, 32)  # alpha: twice the rank, unless it is said
    assert values["target_modules"] == ["q_proj", "v_proj"]
    assert values["dtype"] == "bfloat16"
    assert values["validation_split"] == 0.0
    assert values["gradient_checkpointing"] is True
    assert not found.against


def test_every_setting_of_the_file_has_its_line_and_a_status() -> None:
    found = imported(LLAMA_FACTORY)
    keys = {row.split(":")[0]: n for n, row in enumerate(LLAMA_FACTORY.splitlines(), 1) if row[0] != "#"}
    for key, number in keys.items():
        assert number in {line.line for line in lines_of(found, key)}, key
    assert {line.status for line in found.lines} <= set(STATUSES)


def test_a_default_of_theirs_that_is_not_ours_is_written_out() -> None:
    content = "model_name_or_path: m\ndataset: doctors\nfinetuning_type: lora\n"
    values = imported(content).values
    assert values["learning_rate"] == 5e-5
    assert values["lr_scheduler"] == "linear"
    assert values["batch_size"] == 8
    assert values["warmup_ratio"] == 0.0
    assert values["max_length"] == 2048


def test_swift_s_command_is_read_as_a_shell_would() -> None:
    found = imported(SWIFT, "train.sh")
    values = found.values
    assert found.form.name == "ms-swift"
    assert values["dataset"] == "modelscope:owner/rows:part#500"
    assert values["target_modules"] == ["q_proj", "v_proj"]
    assert values["system"] == "You are a doctor."
    assert (values["learning_rate"], values["lora_alpha"], values["lora_dropout"]) == (1e-4, 32, 0.05)
    assert values["weight_decay"] == 0.1
    assert values["gradient_accumulation_steps"] == 4  # 16 rows an update
    assert values["over_length"] == "reject"
    assert lines_of(found, "dataset")[0].line == 7
    assert lines_of(found, "CUDA_VISIBLE_DEVICES")[0].status == "idle"
    assert values["adam_beta2"] == 0.95 and lines_of(found, "adam_beta2")[0].status == "default"


def test_a_pasted_command_is_as_good_as_a_file() -> None:
    command = (
        "swift sft --model ./base --dataset rows.jsonl --tuner_type full --max_steps 20 --warmup_steps 5"
    )
    values = run_import(ConfigImportSpec(file=command)).values
    assert (values["train_type"], values["learning_rate"]) == ("full", 1e-5)
    assert values["warmup_steps"] == 5 and "warmup_ratio" not in values


@pytest.mark.parametrize(
    ("extra", "wanted"),
    [
        ("optim: adafactor", {"optimizer": "adafactor"}),
        ("optim: paged_adamw_8bit", {"optimizer": "adamw_8bit"}),
        ("optim: paged_adamw_32bit", {"optimizer": "adamw"}),
        ("adam_beta1: 0.8\nadam_epsilon: 1.0e-6", {"adam_beta1": 0.8, "adam_epsilon": 1e-6}),
        ("max_grad_norm: 0.0", {"max_grad_norm": 0.0}),
        ("lr_scheduler_kwargs: {min_lr_rate: 0.2}", {"min_lr_ratio": 0.2}),
        ("lr_scheduler_kwargs: {min_lr: 1.0e-5}", {"min_lr_ratio": 0.1}),
    ],
)
def test_the_optimiser_is_taken_over(extra: str, wanted: dict[str, Any]) -> None:
    shaped = LLAMA_FACTORY.replace("lr_scheduler_type: cosine", "lr_scheduler_type: cosine_with_min_lr")
    values = imported(shaped + extra + "\n").values
    assert values["lr_scheduler"] == "cosine_with_min_lr"
    assert {
        name: pytest.approx(values[name]) if isinstance(values[name], float) else values[name]
        for name in wanted
    } == wanted


def test_several_processes_keep_the_rows_of_an_update() -> None:
    content = "NPROC_PER_NODE=2 swift sft --model m --dataset rows.jsonl --gradient_accumulation_steps 3\n"
    values = imported(content, "train.sh").values
    processes = values.get("processes", 1)
    assert processes * values["gradient_accumulation_steps"] * values.get("batch_size", 4) == 6


def test_swift_s_own_record_is_read_with_its_lines() -> None:
    record = {"model": "m", "dataset": ["rows.jsonl"], "rlhf_type": "dpo", "beta": 0.3, "loss_type": ["ipo"]}
    record |= {
        "swift_version": "4.6.0",
        "tuner_type": "lora",
        "output_dir": "/old/run",
        "template": "qwen2_5",
    }
    found = imported(json.dumps(record, indent=2), "args.json")
    assert (found.values["stage"], found.values["beta"], found.values["dpo_loss"]) == ("dpo", 0.3, "ipo")
    assert "output_dir" not in found.values  # the other program's results lie there
    assert lines_of(found, "beta")[0].line == 7


def test_axolotl_s_settings_become_ours() -> None:
    found = imported(AXOLOTL)
    values = found.values
    assert found.form.name == "Axolotl"
    assert (values["train_type"], values["quantization"]) == ("qlora", "4bit")
    assert (values["lora_rank"], values["lora_alpha"]) == (32, 16)
    assert (values["batch_size"], values["gradient_accumulation_steps"]) == (2, 4)
    assert values["dataset"] == "rows.jsonl"
    assert values["over_length"] == "reject"
    assert values["validation_split"] == 0.0
    assert not found.against


def test_what_is_written_is_what_train_reads() -> None:
    imported(LLAMA_FACTORY, output="0_configs/mine.json")
    resolved = resolve(TrainSpec, Layers({}, config=Path("0_configs/mine.json"), environment={}))
    assert resolved.spec.lora_alpha == 32
    assert resolved.spec.target_modules == ("q_proj", "v_proj")
    comment = json.loads(Path("0_configs/mine.json").read_text())["comment"]
    assert "lora_alpha" not in comment or "LLaMA-Factory" in comment
    assert "LLaMA-Factory" in comment


def test_the_printed_command_asks_for_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    from mozhu.cli.flags import parse_flags

    for content, name in ((LLAMA_FACTORY, "a.yaml"), (SWIFT, "b.sh"), (AXOLOTL, "c.yml")):
        found = imported(content, name)
        import shlex

        typed = parse_flags("train", TrainSpec, (), 0, shlex.split(found.command)[2:]).values
        assert TrainSpec(**typed) == TrainSpec(**found.values)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ("neftune_noise_alpha: 5\n", {"neftune_noise_alpha": 5.0}),
        ("pure_bf16: true\n", {}),  # what an adapter adds is float32 all the same
        ("finetuning_type: full\npure_bf16: true\n", {"master_weights": False}),
        ("finetuning_type: full\n", {}),
    ],
)
def test_noise_and_copies_in_float32_are_taken_over(changes: str, wanted: dict[str, Any]) -> None:
    keys = [line.partition(":")[0] for line in changes.splitlines()]
    kept = [line for line in LLAMA_FACTORY.splitlines(True) if line.partition(":")[0] not in keys]
    if "full" in changes:
        kept = [line for line in kept if not line.startswith("lora_")]
    values = imported("".join(kept) + changes).values
    names = ("dtype", "master_weights", "neftune_noise_alpha")
    assert {name: values[name] for name in names if name in values} == {"dtype": "bfloat16", **wanted}


@pytest.mark.parametrize(
    ("extra", "key"),
    [
        ("use_galore: true", "use_galore"),
        ("rope_scaling: linear", "rope_scaling"),
        ("neat_packing: true", "neat_packing"),
        ("train_on_prompt: true", "train_on_prompt"),
        ("adapter_name_or_path: old", "adapter_name_or_path"),
        ("optim: lion_8bit", "optim"),
        ("use_dft_loss: true", "use_dft_loss"),
        ("val_size: 200", "val_size"),
        ("lora_tagret: all", "lora_tagret"),
    ],
)
def test_what_changes_the_learning_stops_the_import(extra: str, key: str) -> None:
    found = refused(LLAMA_FACTORY + extra + "\n", output="out.json")
    assert found[key]["status"] in {"unsupported", "unknown"}
    assert found[key]["line"] == len(LLAMA_FACTORY.splitlines()) + 1
    assert found[key]["note"]
    assert not Path("out.json").exists()


def test_accepted_settings_are_left_out_and_listed_in_the_comment() -> None:
    found = imported(LLAMA_FACTORY + "use_galore: true\n", output="out.json", accept_unsupported=True)
    assert [line.key for line in found.against] == ["use_galore"]
    assert "use_galore" in json.loads(Path("out.json").read_text())["comment"]


def test_an_unknown_key_gets_the_nearest_names() -> None:
    note = refused(LLAMA_FACTORY + "cutof_len: 5\n")["cutof_len"]["note"]
    assert "cutoff_len" in note


def test_a_part_of_a_switch_that_is_off_has_no_effect() -> None:
    found = imported(LLAMA_FACTORY + "galore_rank: 64\nppo_epochs: 9\n")
    assert {lines_of(found, key)[0].status for key in ("galore_rank", "ppo_epochs")} == {"idle"}


def test_all_wrong_values_are_named_at_once_with_their_lines() -> None:
    content = "model_name_or_path: m\ndataset: doctors\nlora_rank: many\nlearning_rate: [1]\nbf16: perhaps\n"
    content += "lora_dropout: 1.5\nstage: fly\nlora_rank: 3\n"
    with pytest.raises(WrongForeignConfig) as error:
        imported(content)
    told = str(error.value.params["problems"])
    for key in ("learning_rate", "bf16", "stage", "lora_rank"):
        assert f"`{key}`" in told
    assert len(told.splitlines()) >= 4


def test_a_value_that_our_field_cannot_have_is_named_by_their_key() -> None:
    with pytest.raises(WrongForeignConfig) as error:
        imported(LLAMA_FACTORY.replace("lora_rank: 16", "lora_rank: 0"))
    assert "`lora_rank` = 0" in str(error.value.params["problems"])


def test_a_name_that_is_not_in_dataset_info_is_refused() -> None:
    with pytest.raises(WrongForeignConfig) as error:
        imported(LLAMA_FACTORY.replace("dataset: doctors", "dataset: doctor"))
    assert "nurses" in str(error.value.params["problems"])


def test_several_data_sets_say_how_to_join_them_and_can_be_replaced() -> None:
    both = LLAMA_FACTORY.replace("dataset: doctors", "dataset: doctors,nurses")
    note = refused(both)["dataset"]["note"]
    assert note.count("mozhu data convert") == 2
    assert imported(both, dataset="data/joined").values["dataset"] == "data/joined"


def test_max_samples_becomes_the_number_behind_the_reference() -> None:
    values = imported(LLAMA_FACTORY + "max_samples: 100\n").values
    assert values["dataset"].endswith(":doctors#100")


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (
            "stage: dpo\npref_beta: 0.2\npref_loss: hinge\n",
            {"stage": "dpo", "beta": 0.2, "dpo_loss": "hinge"},
        ),
        ("stage: dpo\npref_loss: orpo\n", {"stage": "orpo", "beta": 0.1}),
        ("stage: kto\nkto_chosen_weight: 2\n", {"stage": "kto", "wanted_weight": 2.0}),
        ("stage: rm\n", {"stage": "rm"}),
        ("stage: pt\n", {"stage": "pt"}),
        ("finetuning_type: full\n", {"train_type": "full"}),
        ("quantization_bit: 4\n", {"train_type": "qlora", "quantization": "4bit"}),
        ("use_rslora: true\nuse_dora: true\n", {"use_rslora": True, "use_dora": True}),
        ("pissa_init: true\n", {"lora_init": "pissa"}),
        ("mask_history: true\n", {"train_on": "last"}),
        ("fp16: true\n", {"dtype": "float16"}),
        ("save_strategy: epoch\neval_strategy: steps\neval_steps: 7\n", {"eval_steps": 7}),
    ],
)
def test_stages_and_methods_of_llama_factory(changes: str, wanted: dict[str, Any]) -> None:
    values = imported("model_name_or_path: m\ndataset: doctors\ncutoff_len: 64\n" + changes).values
    defaults = {field.name: field.default for field in fields_of(TrainSpec)}
    assert {name: values.get(name, defaults[name]) for name in wanted} == wanted


def test_full_training_is_not_quantised() -> None:
    with pytest.raises(WrongForeignConfig):
        imported(LLAMA_FACTORY.replace("finetuning_type: lora", "finetuning_type: full\nquantization_bit: 4"))


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        ("type: alpaca", "datasets[0].type"),
        ("type: chat_template\n    roles_to_train: [user]", "datasets[0].roles_to_train"),
        ("type: chat_template\n    train_on_eos: last", "datasets[0].train_on_eos"),
        ("type: chat_template\n    chat_template: chatml", "datasets[0].chat_template"),
        ("type: chat_template\n    shards: 4", "datasets[0].shards"),
    ],
)
def test_parts_of_axolotl_s_data_sets_are_judged_one_by_one(entry: str, key: str) -> None:
    found = refused(AXOLOTL.replace("type: chat_template", entry))
    assert found[key]["status"] == "unsupported"
    assert found[key]["line"] == 4 + entry.count("\n")


@pytest.mark.parametrize(
    "content",
    [
        "a: [1\n",
        "- 1\n- 2\n",
        "model_name_or_path: !!python/object/apply:os.system ['true']\n",
        "a: *b\n",
        "",
    ],
)
def test_broken_yaml_is_named_and_never_run(content: str) -> None:
    with pytest.raises((UnreadableForeignConfig, UnknownForeignConfig)):
        imported(content)


@pytest.mark.parametrize("content", ['{"model": ', '{"model": "m",}', '{"model": "m"} x', "{'a': 1}"])
def test_broken_json_is_named_with_its_line(content: str) -> None:
    with pytest.raises(UnreadableForeignConfig):
        imported(content, "args.json")


def test_a_file_of_none_of_the_three_is_said_to_be_so() -> None:
    with pytest.raises(UnknownForeignConfig):
        imported("colour: red\nsize: 3\n")
    with pytest.raises(UnknownForeignConfig):
        imported("#!/bin/bash\necho hello\n", "other.sh")
    with pytest.raises(MissingFile):
        run_import(ConfigImportSpec(file="nowhere.yaml"))


def test_a_word_that_a_shell_would_work_out_is_refused() -> None:
    with pytest.raises(WrongForeignConfig) as error:
        imported("swift sft --model m --dataset rows.jsonl --lora_rank $(expr 4 / 2)\n", "train.sh")
    assert "$(expr 4 / 2)" in str(error.value.params["problems"])


def test_shell_words_keep_quotes_comments_lines_and_variables() -> None:
    script = 'N=2\nA=$N B="x y" run \'it is\' a#b \\\n  --c="$N-${D:-9}" # gone\nnext | other > log\n'
    commands = shell_commands(script, "s")
    assert [word.text for word in commands[0].words] == ["run", "it is", "a#b", "--c=2-9"]
    assert commands[0].words[-1].line == 3
    assert {name: word.text for name, word in commands[0].variables.items()} == {
        "N": "2",
        "A": "2",
        "B": "x y",
    }
    assert [command.words[0].text for command in commands[1:]] == ["next", "other"]


def test_a_command_that_names_a_file_reads_it_and_counts_more() -> None:
    Path("base.yaml").write_text(LLAMA_FACTORY)
    values = imported("FORCE_TORCHRUN=1 llamafactory-cli train base.yaml lora_rank=4\n", "go.sh").values
    assert (values["lora_rank"], values["max_length"]) == (4, 1024)


def test_a_config_file_of_other_content_is_kept() -> None:
    Path("out.json").write_text("{}")
    with pytest.raises(TargetExists):
        imported(LLAMA_FACTORY, output="out.json")
    imported(LLAMA_FACTORY, output="out.json", overwrite=True)
    imported(LLAMA_FACTORY, output="out.json")  # the same again


def test_the_command_prints_the_table_and_fails_with_all_problems(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(LLAMA_FACTORY + "use_galore: true\n")
    assert main(["config", "import", "mine.yaml", "--lang", "en"]) == 2
    told = capsys.readouterr()
    assert "NOT SUPPORTED" in told.out
    assert "use_galore" in told.err
    assert main(["config", "import", "mine.yaml", "--accept_unsupported", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["values"]["lora_rank"] == 16


def test_every_note_has_its_words_and_every_table_only_known_names() -> None:
    texts = page_texts("en", "importing")
    for module, form in ((llama_factory, "llama_factory"), (ms_swift, "ms_swift"), (axolotl, "axolotl")):
        notes = {*module.IDLE.values(), *module.UNSUPPORTED.values()}
        assert not [note for note in notes if f"note.{note}" not in texts]
        known = form_of(form).keys
        fields = {field.name for field in fields_of(TrainSpec)}
        for key, (field, _) in module.TABLE.items():
            assert key in known and field in fields


ODD = ("true", "7", "0.5", "word", "[a, b]", "{a: 1}", "-1", "[[1]]", "[{a: 1}]", "1e400")


def try_odd(form: str, key: str, value: str) -> None:
    """Told, refused or taken: never a fault of ours, never a request that cannot be made."""
    base = {"llama_factory": LLAMA_FACTORY, "axolotl": AXOLOTL, "ms_swift": "model: m\ndataset: [a.jsonl]\n"}[
        form
    ]
    kept = "".join(f"{row}\n" for row in base.splitlines() if not row.startswith(f"{key}:"))
    if key == "datasets":
        kept = kept.replace("  - path: rows.jsonl\n    type: chat_template\n", "")
    try:
        found = imported(f"{kept}{key}: {value}\n", format=form, accept_unsupported=True)
    except WrongForeignConfig as error:
        assert key in str(error.params["problems"]) or error.params["problems"]
        return
    TrainSpec(**found.values)


@pytest.mark.parametrize("form", FORMS)
def test_every_key_of_a_format_takes_an_odd_value_without_a_crash(form: str) -> None:
    for number, key in enumerate(form_of(form).keys):
        try_odd(form, key, ODD[number % len(ODD)])


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_every_key_of_a_format_takes_every_odd_value_without_a_crash(form: str) -> None:
    for value in ODD:
        for key in form_of(form).keys:
            try_odd(form, key, value)


def test_reading_settings_loads_no_model_library() -> None:
    code = (
        "import sys; import mozhu.engine.training.importers.run, mozhu.engine.training.importers.yaml_file;"
        "print([m for m in ('torch','transformers','peft','numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
