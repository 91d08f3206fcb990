"""What goes wrong in the main job: one clear catalogued error in the user's language, the right exit code, nothing
half-written, what was there intact; and where a run was cut off, it goes on once the cause is gone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from job import CHINESE, Place, Said, events, made_once, pattern_rows, small_disk, tree

from mozhu.cli.main import main
from mozhu.kernel.files import read_json, read_jsonl
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.manifest import Manifest, manifest_problems
from mozhu.specs.records.result import Result
from mozhu.testing import make_tiny_adapter, make_tiny_model

LANGUAGES = ["zh", "en"]
SINGLE = ("--mode", "single", "--question", "hi", "--max_new_tokens", 4)


@dataclass(frozen=True)
class Models:
    """Tiny models made once; no test may change them."""

    folder: Path

    def __getattr__(self, name: str) -> Path:
        return self.folder / name


def _make_models(folder: Path) -> None:
    tiny = make_tiny_model(folder / "tiny")
    make_tiny_model(folder / "other", seed=1)
    make_tiny_model(folder / "wider", hidden=96)
    make_tiny_model(folder / "vision", "qwen2_vl")
    make_tiny_adapter(folder / "adapter", tiny, record=True)
    make_tiny_adapter(folder / "unrecorded", tiny)
    shutil.copytree(tiny, folder / "silent")
    (folder / "silent/chat_template.jinja").unlink()
    shutil.copytree(tiny, folder / "strange")
    config = read_json(folder / "strange/config.json")
    config |= {"model_type": "strangelm", "architectures": ["StrangeLMForCausalLM"]}
    (folder / "strange/config.json").write_text(json.dumps(config), encoding="utf-8")


@pytest.fixture(scope="session")
def models(shared_folder: Path) -> Iterator[Models]:
    folder = made_once(shared_folder / "models", _make_models)
    before = tree(folder)
    yield Models(folder)
    assert tree(folder) == before, "no command changed a model"


def refused(said: Said, code: str, exit_code: int, language: str, *names: object) -> None:
    """``said`` is exactly one error with ``code``, in ``language``, that names what is wrong."""
    assert said.code == exit_code, said
    assert f" {code}: " in said.err, said.err
    assert "Traceback" not in said.out + said.err
    lines = [line for line in said.err.splitlines() if f" {code}: " in line]
    assert len(lines) == 1 and bool(CHINESE.search(lines[0])) == (language == "zh"), lines
    for name in names:
        assert str(name) in said.err, said.err


def made(place: Place, before: dict[str, str]) -> list[str]:
    """What is new or changed, but for the records of runs that failed."""
    after = tree(place.root)
    changed = [name for name in {*before, *after} if before.get(name) != after.get(name)]
    found = [Path(name).relative_to(place.root) for name in changed]
    return sorted(str(path) for path in found if path.parts and path.parts[0] != "6_output")


WRONG_BASES = [("other", "MODEL-008", 5), ("wider", "MODEL-009", 3)]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("base", "code", "exit_code"), WRONG_BASES)
def test_an_adapter_answers_only_on_its_own_base(
    base: str,
    code: str,
    exit_code: int,
    language: str,
    place: Place,
    models: Models,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = tree(place.root)
    monkeypatch.chdir(place.root)
    words = ("infer", "--checkpoint", models.adapter, "--base_model", getattr(models, base), *SINGLE)
    said = Said(main([*map(str, words), "--lang", language]), *capfd.readouterr())
    refused(said, code, exit_code, language, models.adapter, getattr(models, base))
    assert said.out == "" and made(place, before) == []


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("base", "code", "exit_code"), WRONG_BASES)
def test_an_adapter_is_scored_only_on_its_own_base(
    base: str, code: str, exit_code: int, language: str, place: Place, models: Models
) -> None:
    place.write_rows("rows.json", pattern_rows(4))
    before = tree(place.root)
    words = ("--test_data", "rows.json", "--output_dir", "6_output/scores", "--output", "table.csv")
    words = ("evaluate", "--checkpoint", models.adapter, "--base_model", getattr(models, base), *words)
    refused(place.mozhu(*words, language=language), code, exit_code, language, models.adapter)
    assert made(place, before) == []
    assert not list(place.path("6_output/scores").glob("evaluation*"))
    assert Result.read(place.path("6_output/scores/result.json")).error["code"] == code


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("adapter", "base"), [("adapter", "other"), ("adapter", "wider"), ("unrecorded", "wider")]
)
def test_an_adapter_is_merged_only_into_its_own_base(
    adapter: str, base: str, language: str, place: Place, models: Models
) -> None:
    """By the fingerprint that training recorded; an adapter made elsewhere by names and shapes."""
    place.path("merged").mkdir()
    before = tree(place.root)
    words = ("merge", "--adapter", getattr(models, adapter), "--base_model", getattr(models, base))
    said = place.mozhu(*words, "--output_path", "merged", language=language)
    refused(said, "EXPORT-004", 3, language, getattr(models, adapter))
    assert made(place, before) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_model_without_chat_template_does_not_start_on_conversations(
    language: str, place: Place, models: Models
) -> None:
    place.write_rows("rows.json", pattern_rows(4))
    before = tree(place.root)
    words = ("train", "--model", models.silent, "--dataset", "rows.json", "--output_dir", "run")
    refused(
        place.mozhu(*words, language=language), "MODEL-003", 3, language, models.silent, "chat_template.jinja"
    )
    assert made(place, before) == []
    refused(place.mozhu(*words, "--dry_run", language=language), "MODEL-003", 3, language, models.silent)
    assert tree(place.root) == before


@pytest.mark.slow
def test_a_model_without_chat_template_learns_from_text(place: Place, models: Models) -> None:
    place.write_rows("rows.json", [{"text": row["instruction"] + row["output"]} for row in pattern_rows(12)])
    words = ("train", "--model", models.silent, "--dataset", "rows.json", "--output_dir", "run")
    said = place.done(*words, "--max_steps", 8, "--learning_rate", "1e-2")
    assert "TRAIN-025" in said.err
    losses = [event["loss"] for event in events(place.path("run"), "step")]
    assert losses[-1] < losses[0]
    refused(place.mozhu("infer", "--checkpoint", "run", *SINGLE), "MODEL-003", 3, "en")


REJECTED = [
    {"instruction": "", "output": "a"},
    {"instruction": "q", "output": "  "},
    {"instruction": "q"},
    {"instruction": "q", "output": 4},
]


@pytest.mark.parametrize("language", LANGUAGES)
def test_rows_that_are_all_rejected_are_named_with_their_reasons(
    language: str, place: Place, models: Models
) -> None:
    path = place.path("rows.jsonl")
    path.write_text("\n".join(json.dumps(row) for row in REJECTED) + "\n", encoding="utf-8")
    before = tree(place.root)
    said = place.mozhu(
        "data", "prepare", "--input", "rows.jsonl", "--output_dir", "data/made", language=language
    )
    for code in ("DATA-103", "DATA-104", "DATA-105", "DATA-106"):
        assert code in said.err
    refused(said, "DATA-003", 3, language, "rows.jsonl")
    said = place.mozhu(
        "train", "--model", models.tiny, "--dataset", "rows.jsonl", "--output_dir", "run", language=language
    )
    refused(said, "DATA-003", 3, language, "rows.jsonl")
    assert made(place, before) == []


@pytest.mark.slow
def test_ten_rows_train_with_a_notice(place: Place, models: Models) -> None:
    place.write_rows("rows.json", pattern_rows(10))
    words = (
        "train",
        "--model",
        models.tiny,
        "--dataset",
        "rows.json",
        "--output_dir",
        "run",
        "--max_steps",
        4,
    )
    said = place.done(*words)
    assert "TRAIN-030" in said.err
    assert len(events(place.path("run"), "eval")) >= 2
    check_artefact(place.path("run"))


@pytest.mark.parametrize("language", ["zh", pytest.param("en", marks=pytest.mark.slow)])
def test_one_row_trains_with_a_notice_and_without_validation(
    language: str, place: Place, models: Models
) -> None:
    place.write_rows("rows.json", pattern_rows(1))
    words = (
        "train",
        "--model",
        models.tiny,
        "--dataset",
        "rows.json",
        "--output_dir",
        "run",
        "--max_steps",
        2,
    )
    said = place.done(*words, language=language)
    assert "TRAIN-030" in said.err and "DATA-130" in said.err
    assert bool(CHINESE.search(said.err)) == (language == "zh")
    assert events(place.path("run"), "eval") == []
    assert "eval_loss" not in Result.read(place.path("run/result.json")).metrics
    check_artefact(place.path("run"))


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_an_answer_longer_than_the_context_is_cut_and_reported(
    language: str, place: Place, models: Models
) -> None:
    long = [{"instruction": f"第{number}题", "output": "春夏秋冬" * 300} for number in range(2)]
    place.write_rows("rows.json", [*long, *pattern_rows(4)])
    words = (
        "train",
        "--model",
        models.tiny,
        "--dataset",
        "rows.json",
        "--output_dir",
        "run",
        "--max_steps",
        2,
    )
    said = place.done(*words, "--validation_split", 0, language=language)
    line = next(line for line in said.err.splitlines() if "DATA-120" in line)
    assert "512" in line and "rows#1" in line and bool(CHINESE.search(line)) == (language == "zh")
    cut = next(event for event in events(place.path("run"), "finding") if event["code"] == "DATA-120")
    assert (cut["params"]["count"], cut["params"]["max_length"]) == (2, 512)
    check_artefact(place.path("run"))


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_rows_of_which_no_answer_is_left_are_refused(language: str, place: Place, models: Models) -> None:
    long = [{"instruction": f"{number}" + "春夏秋冬" * 300, "output": "好"} for number in range(4)]
    place.write_rows("rows.json", long)
    before = tree(place.root)
    words = ("train", "--model", models.tiny, "--dataset", "rows.json", "--output_dir", "6_output/run")
    refused(place.mozhu(*words, language=language), "TRAIN-001", 3, language, "512", "--max_length")
    assert made(place, before) == []
    assert not place.path("6_output/run/lora_adapter").exists()


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("model", "family"), [("vision", "qwen2_vl"), ("strange", "strangelm")])
def test_a_family_without_gguf_is_refused_with_those_that_have_one(
    model: str, family: str, language: str, place: Place, models: Models
) -> None:
    before = tree(place.root)
    words = ("convert", "--model", getattr(models, model), "--output_path", "gguf", "--create_modelfile")
    said = place.mozhu(*words, language=language)
    refused(said, "EXPORT-008", 3, language, family, "`llama`", "`qwen2`", "`gemma2`")
    assert made(place, before) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_forecast_larger_than_the_machine_stops_the_run(
    language: str, place: Place, models: Models
) -> None:
    place.write_rows("rows.json", pattern_rows(4))
    before = tree(place.root)
    words = (
        "train",
        "--model",
        models.tiny,
        "--dataset",
        "rows.json",
        "--lora_rank",
        10**9,
        "--output_dir",
        "run",
    )
    refused(place.mozhu(*words, language=language), "TRAIN-006", 4, language, "--dry_run")
    assert made(place, before) == []


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_question_while_it_trains_is_answered_or_clearly_refused(
    language: str, place: Place, models: Models
) -> None:
    """Before the first checkpoint there is no model yet; from then on the newest whole checkpoint answers."""
    place.write_rows("rows.json", pattern_rows(20))
    words = (
        "train",
        "--model",
        models.tiny,
        "--dataset",
        "rows.json",
        "--output_dir",
        "run",
        "--max_steps",
        100_000,
    )
    training = subprocess.Popen(
        place.command(*words, "--save_steps", 2_000, "--quiet"),
        cwd=place.root,
        env=place.environment(language),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait_for(lambda: place.path("run/spec.json").exists())
        refused(
            place.mozhu("infer", "--checkpoint", "run", *SINGLE, language=language),
            "RUN-007",
            5,
            language,
            "run",
        )
        _wait_for(lambda: list(place.path("run").glob("checkpoint-*/.complete")))
        said = place.mozhu("infer", "--checkpoint", "run", *SINGLE, "--json", language=language)
        assert said.code == 0, said.err
        assert said.json()["tokens"] >= 1
        assert training.poll() is None, "the question did not disturb the training"
        busy = place.mozhu(*words, "--save_steps", 2_000, language=language)
        refused(busy, "RUN-003", 5, language, "run")
        place.done("runs", "stop", "run")
        assert training.wait(120) == 130
        assert " RUN-004: " in training.stderr.read()
    finally:
        if training.poll() is None:
            training.terminate()
            training.wait(90)
    steps = [event["step"] for event in events(place.path("run"), "step")]
    assert steps == list(range(1, len(steps) + 1))
    assert place.path(f"run/checkpoint-{steps[-1]}/.complete").exists(), "what was trained is saved"


def _wait_for(is_so: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="`ulimit -v` counts only on Linux")
@pytest.mark.parametrize("language", LANGUAGES)
def test_memory_that_runs_out_is_named_and_the_run_goes_on_with_more(
    language: str, place: Place, models: Models
) -> None:
    """The training was stopped half-way, so that something is there to lose."""
    place.write_rows("rows.json", pattern_rows(10))
    words = (
        "train",
        "--model",
        models.tiny,
        "--dataset",
        "rows.json",
        "--output_dir",
        "run",
        "--max_steps",
        600,
    )
    words = (*words, "--save_steps", 20, "--quiet")
    _stop_half_way(place, words)
    before = tree(*place.path("run").glob("checkpoint-*"))
    assert before
    said = place.mozhu(*words, language=language, before="ulimit -v 700000")
    refused(said, "ENV-002", 4, language)
    assert Result.read(place.path("run/result.json")).error["code"] == "ENV-002"
    assert tree(*place.path("run").glob("checkpoint-*")) == before
    place.done(*words)
    steps = [event["step"] for event in events(place.path("run"), "step")]
    assert steps == list(range(1, 601))
    check_artefact(place.path("run"))


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="`ulimit -v` counts only on Linux")
def test_a_batch_that_memory_cannot_hold_is_named(place: Place) -> None:
    """The libraries and the model fit, the batch does not."""
    place.write_rows("rows.json", [{"instruction": f"{n}", "output": "春夏秋冬" * 600} for n in range(8)])
    words = ("train", "--model", "starter", "--dataset", "rows.json", "--output_dir", "run", "--max_steps", 1)
    words = (*words, "--batch_size", 8, "--max_length", 2048, "--validation_split", 0, "--quiet")
    said = place.mozhu(*words, before="ulimit -v 2000000")
    refused(said, "ENV-002", 4, "en", "--batch_size")
    assert not place.path("run/lora_adapter").exists() and not place.path("run/incident.txt").exists()


def _stop_half_way(place: Place, words: tuple[Any, ...]) -> None:
    """Start the training and end it when its first checkpoint is whole."""
    process = subprocess.Popen(place.command(*words), cwd=place.root, env=place.environment())
    try:
        _wait_for(lambda: [*place.path("run").glob("checkpoint-*/.complete")] or process.poll() is not None)
    finally:
        process.terminate()
        process.wait(90)
    assert not place.path("run/lora_adapter").exists()


@pytest.mark.slow
@pytest.mark.parametrize("size", ["1m", "2m", "5m"])
def test_a_disk_that_fills_up_while_training_keeps_what_was_saved(size: str, place: Place) -> None:
    """1 MB: in the first checkpoint; 2 MB: in the second; 5 MB: in the adapter itself, after the last step."""
    place.write_rows("rows.json", pattern_rows(16))
    words = ("train", "--model", "starter", "--dataset", "rows.json", "--output_dir", "disk/run")
    words = (*words, "--max_steps", 6, "--save_steps", 2, "--validation_split", 0, "--quiet")
    whole = place.done(*[("plain" if word == "disk/run" else word) for word in words], "--json").json()
    with small_disk(place.path("disk"), size) as mounted:
        if not mounted:
            pytest.skip("a small disk cannot be mounted here (needs root)")
        place.path("disk/precious.txt").write_text("kept", encoding="utf-8")
        for language in LANGUAGES:
            said = place.mozhu(*words, language=language)
            refused(said, "FILE-003", 4, language, "disk/run")
            _check_nothing_is_half_written(place.path("disk/run"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(place.path("disk"))], check=True)
        done = place.done(*words, "--json").json()
        assert place.path("disk/precious.txt").read_text(encoding="utf-8") == "kept"
        steps = {event["step"]: event["loss"] for event in events(place.path("disk/run"), "step")}
        plain = {event["step"]: event["loss"] for event in events(place.path("plain"), "step")}
        assert steps == pytest.approx(plain, rel=1e-3), "the same training, in two parts"
        assert done["metrics"]["train_loss"]["value"] == pytest.approx(
            whole["metrics"]["train_loss"]["value"], rel=1e-3
        )
        check_artefact(place.path("disk/run"))


def _check_nothing_is_half_written(folder: Path) -> None:
    assert not (folder / "lora_adapter").exists() and not (folder / "incident.txt").exists()
    for checkpoint in folder.glob("checkpoint-*"):
        assert (checkpoint / ".complete").exists(), checkpoint.name
    assert not [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".new", ".old"))]
    assert Result.read(folder / "result.json").error["code"] == "FILE-003"
    assert all(isinstance(event, dict) for event in read_jsonl(folder / "events.jsonl"))


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["merge", "convert"])
def test_a_full_disk_stops_merging_and_converting_before_they_write(
    verb: str, place: Place, models: Models
) -> None:
    words: tuple[Any, ...] = ("merge", "--adapter", models.adapter, "--output_path", "disk/made")
    if verb == "convert":
        words = ("convert", "--model", models.tiny, "--quantization", "F32", "--output_path", "disk/made")
    with small_disk(place.path("disk"), "100k") as mounted:
        if not mounted:
            pytest.skip("a small disk cannot be mounted here (needs root)")
        place.path("disk/precious.txt").write_text("kept", encoding="utf-8")
        before = tree(place.path("disk"))
        for language in LANGUAGES:
            refused(place.mozhu(*words, language=language), "FILE-003", 4, language, "disk/made")
            assert tree(place.path("disk")) == before
        subprocess.run(["mount", "-o", "remount,size=256m", str(place.path("disk"))], check=True)
        place.done(*words)
        assert Certificate.read(place.path("disk/made/certificate.json")).passed
        assert place.path("disk/precious.txt").read_text(encoding="utf-8") == "kept"


def check_artefact(folder: Path) -> None:
    """The run ended well and its adapter is whole, with a certificate."""
    assert Result.read(folder / "result.json").state == "succeeded"
    adapter = folder / "lora_adapter"
    assert manifest_problems(adapter, Manifest.read(adapter / "manifest.json")) == []
    assert Certificate.read(adapter / "certificate.json").checks
