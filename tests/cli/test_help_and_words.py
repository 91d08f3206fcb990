"""Help of every command in both languages, what is imported for it, and how a command talks."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typed import Mozhu

from mozhu.cli import doctor
from mozhu.cli.main import VERBS, main
from mozhu.kernel.errors import RunDied
from mozhu.kernel.texts import page_texts
from mozhu.specs.layers import Layers, resolve
from mozhu.specs.train import TrainSpec

HEAVY = {"torch", "transformers", "peft", "fastapi", "sqlalchemy", "numpy", "datasets"}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
GROUPS = sorted({verb.split()[0] for verb in VERBS if " " in verb})


# ---------------------------------------------------------------- help
@pytest.mark.parametrize("lang", ["zh", "en"])
@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help_in_both_languages(verb: str, lang: str, mozhu: Mozhu) -> None:
    said = mozhu(*verb.split(), "-h", "--lang", lang)
    assert said.code == 0 and said.err == ""
    assert said.out.splitlines()[0] == page_texts(lang, "verb_" + verb.replace(" ", "_"))["summary"]
    assert f"mozhu {verb}" in said.out
    for flag in ("--json", "--lang", "--debug"):
        assert flag in said.out
    assert bool(CHINESE.search(said.out)) == (lang == "zh"), said.out
    assert mozhu("--lang", lang, *verb.split(), "--help").out == said.out


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "shell"])
def test_every_example_in_help_is_a_command_that_exists(verb: str, mozhu: Mozhu) -> None:
    examples = page_texts("en", "verb_" + verb.replace(" ", "_")).get("examples", "")
    lines = [line for line in examples.replace("\\\n", " ").splitlines() if line.strip().startswith("mozhu ")]
    if verb not in {"info", "tools", "doctor"}:
        assert lines, f"`mozhu {verb} -h` shows no example"
    for line in lines:
        words = line.split("#")[0].split()[1:]
        name = " ".join(words[: 2 if words[0] in GROUPS else 1])
        assert name == verb
        flags = {word.partition("=")[0] for word in words if word.startswith("--")}
        help_text = mozhu(*verb.split(), "-h").out
        assert all(re.search(rf"^  {flag}\b", help_text, re.MULTILINE) for flag in flags), line


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("--lang", "zh"), ("--lang=zh", "--help")])
def test_the_overview_lists_every_command(words: tuple[str, ...], mozhu: Mozhu) -> None:
    said = mozhu(*words)
    assert said.code == 0
    for verb in VERBS:
        assert re.search(rf"^  {verb} +\S", said.out, re.MULTILINE), verb
    assert bool(CHINESE.search(said.out)) == any("zh" in word for word in words)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_lists_its_commands(group: str, mozhu: Mozhu) -> None:
    said = mozhu(group)
    assert said.code == 0 and said.out == mozhu(group, "--help").out
    listed = re.findall(rf"^  ({group} \w+)", said.out, re.MULTILINE)
    assert listed == [verb for verb in VERBS if verb.split()[0] == group]


def test_the_version_is_told(mozhu: Mozhu) -> None:
    assert re.fullmatch(r"mozhu \d+\.\d+\.\d+\S*\n", mozhu("--version").out)


def test_help_shows_defaults_choices_and_presets(mozhu: Mozhu) -> None:
    said = mozhu("train", "--help").out
    assert "default 8" in said and "lora|qlora|full|multimodal" in said and "required" in said
    assert re.search(r"--preset NAME .*full, lora, multimodal, qlora", said)


# ---------------------------------------------------------------- what it costs
@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("train", "--help"),
        ("runs", "list"),
        ("data", "prepare", "-h"),
        ("trian",),
        ("infer", "-h"),
    ],
    ids=" ".join,
)
def test_a_light_command_imports_no_heavy_library(words: tuple[str, ...]) -> None:
    code = (
        "import sys\nfrom mozhu.cli.main import main\n"
        f"main({list(words)!r})\n"
        f"print('IMPORTED', sorted({HEAVY!r} & {{name.split('.')[0] for name in sys.modules}}))\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.splitlines()[-1] == "IMPORTED []"


# ---------------------------------------------------------------- how it talks
@pytest.mark.parametrize(
    "words",
    [
        ("doctor",),
        ("tools", "--check_env"),
        ("info",),
        ("info", "--config"),
        ("init", "made"),
        ("data", "sample"),
        ("runs", "list"),
        ("registry", "list"),
        ("registry", "rescan"),
        ("train", "--preset", "lora", "--model", "starter", "--dry_run"),
        ("forecast", "--preset", "lora", "--model", "starter"),
        ("convert", "--model", "starter", "--format", "safetensors", "--dry_run"),
    ],
    ids=" ".join,
)
def test_json_is_all_there_is_on_standard_output(words: tuple[str, ...], mozhu: Mozhu) -> None:
    said = mozhu(*words, "--json")
    assert said.code == 0, said.err
    json.loads(said.out)
    assert said.err == "" or not said.err.lstrip().startswith("{")


def test_data_prepare_in_json_says_what_was_made(mozhu: Mozhu, own_workspace: Path) -> None:
    mozhu("data", "sample")
    said = mozhu("data", "prepare", "--input", "data/sample/sample_data.json", "--json")
    value = said.json()
    assert said.code == 0 and value["state"] == "succeeded" and value["metrics"]["train_rows"]["value"] == 8
    assert (Path(value["run"]) / "result.json").is_file()
    shown = mozhu("runs", "show", value["run"], "--json").json()
    assert shown["state"] == "succeeded" and shown["spec"]["verb"] == "data.prepare"
    listed = mozhu("runs", "list", "--json").json()
    assert [row["run"] for row in listed] == [Path(value["run"]).name]


def test_dry_run_and_forecast_show_the_same_plan_and_write_nothing(mozhu: Mozhu, own_workspace: Path) -> None:
    words = ("--preset", "lora", "--model", "starter", "--json")
    plan, forecast = mozhu("train", *words, "--dry_run").json(), mozhu("forecast", *words).json()
    changing = {"memory_free_bytes", "seconds", "fits"}
    for value in (plan, forecast):
        value["forecast"] = {name: item for name, item in value["forecast"].items() if name not in changing}
    assert plan == forecast
    assert plan["origins"]["lora_rank"] == "preset:lora" and plan["forecast"]["steps"] == 9
    assert list(own_workspace.iterdir()) == [own_workspace / "0_configs"]


def test_no_colour_where_there_is_no_terminal(mozhu: Mozhu) -> None:
    for words in (("doctor",), ("runs", "list"), ("info", "--config"), ("trian",), ("train",)):
        said = mozhu(*words)
        assert "\x1b[" not in said.out + said.err


def test_errors_are_coloured_on_a_terminal_unless_no_color_says_not() -> None:
    def typed_on_a_terminal(**environment: str) -> str:
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "mozhu", "trian"]
        subprocess.run(command, stderr=theirs, env={**os.environ, **environment}, check=False)
        os.close(theirs)
        return os.read(ours, 10_000).decode("utf-8", errors="replace")

    assert "\x1b[31m" in typed_on_a_terminal()
    assert "\x1b[" not in typed_on_a_terminal(NO_COLOR="1")


def test_info_shows_each_value_with_its_origin(
    mozhu: Mozhu, own_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = own_workspace / "0_configs/0_train_config.json"
    config.write_text('{"preset": "qlora", "model": "starter", "seed": 7}', encoding="utf-8")
    monkeypatch.setenv("MOZHU_TRAIN__LORA_ALPHA", "64")
    train = mozhu("info", "--config", "--json").json()["config"]["train"]
    assert train["seed"] == {"value": 7, "origin": f"file:{config}"}
    assert train["quantization"] == {"value": "4bit", "origin": "preset:qlora"}
    assert train["lora_alpha"] == {"value": 64, "origin": "environment:MOZHU_TRAIN__LORA_ALPHA"}
    assert train["lora_dropout"] == {"value": 0.0, "origin": "default"}
    assert set(train) == set(TrainSpec.model_fields)


def test_doctor_names_what_is_missing_and_the_command_that_adds_it(
    mozhu: Mozhu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "library_version", {"torch": "2.13.0"}.get)
    monkeypatch.setenv("MOZHU_ENGINES", str(tmp_path / "engines"))
    said = mozhu("tools", "--check_env", "--lang", "en")
    assert said.code == 0
    assert "mozhu[train]" in said.out and "mozhu[export]" in said.out and "transformers" in said.out
    assert "ms-swift" in said.out and "mozhu engines install swift" in said.out


# ---------------------------------------------------------------- tracebacks and bugs
def test_a_traceback_is_shown_only_with_debug(own_workspace: Path) -> None:
    for place in (["--debug", "trian"], ["train", "--debug", "--model"]):
        command = [sys.executable, "-m", "mozhu"]
        plain = subprocess.run(
            command + [word for word in place if word != "--debug"], capture_output=True, text=True
        )
        assert plain.returncode == 2 and "Traceback" not in plain.stderr
        debug = subprocess.run(command + place, capture_output=True, text=True)
        assert debug.returncode != 0 and "Traceback (most recent call last)" in debug.stderr


def test_a_bug_leaves_an_incident_file_and_says_so(
    mozhu: Mozhu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(doctor, "describe", broken)
    said = mozhu("doctor")
    assert said.code == 70
    assert "BUG-001" in said.err and "ZeroDivisionError: planted" in said.err and "Traceback" not in said.err
    path = Path(re.search(r"`([^`]+)`", said.err)[1])  # type: ignore[index]
    content = path.read_text(encoding="utf-8")
    assert (
        "command: mozhu doctor" in content
        and "Traceback" in content
        and 'raise ZeroDivisionError("planted")' in content
    )
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    error = mozhu("doctor", "--json").json()["error"]
    assert error["code"] == "BUG-001"
    with pytest.raises(ZeroDivisionError):
        main(["doctor", "--debug"])


def test_an_incident_file_holds_no_secret_of_the_environment(
    mozhu: Mozhu, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    monkeypatch.setattr(doctor, "describe", broken)
    mozhu("doctor")
    assert all("hf_very_secret" not in path.read_text() for path in (tmp_path / "mozhu-incidents").iterdir())


def test_errors_of_a_run_carry_its_exit_code() -> None:
    assert RunDied(path="x", status=-9, log="l", tail="t").exit_code == 4


def test_ctrl_c_ends_with_the_shells_code(mozhu: Mozhu, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "describe", interrupted)
    said = mozhu("doctor")
    assert said.code == 130 and "Traceback" not in said.err


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m mozhu train --help | head -1"
    answer = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True)
    assert "Traceback" not in answer.stderr and "BrokenPipe" not in answer.stderr and answer.stdout


# ---------------------------------------------------------------- flags
@pytest.mark.parametrize(
    "words",
    [
        (
            "--lora_rank",
            "16",
            "--gradient_checkpointing",
            "--target_modules",
            "q_proj,",
            "k_proj",
            "--seed=7",
        ),
        (
            "--lora-rank=16",
            "--gradient-checkpointing",
            "true",
            "--target-modules",
            "q_proj,k_proj",
            "--seed",
            "7",
        ),
        ("--lora_rank=16", "--gradient_checkpointing=yes", "--target_modules=q_proj k_proj", "--seed=7"),
    ],
    ids=["blanks", "dashes", "equals"],
)
def test_flags_are_written_as_people_write_them(words: tuple[str, ...], mozhu: Mozhu) -> None:
    said = mozhu("train", "--model", "starter", "--dataset", "sample", *words, "--dry_run", "--json")
    spec = said.json()["spec"]
    assert (spec["lora_rank"], spec["seed"], spec["gradient_checkpointing"]) == (16, 7, True)
    assert spec["target_modules"] == ["q_proj", "k_proj"]


def test_a_switch_can_be_turned_off(mozhu: Mozhu) -> None:
    words = (
        "train",
        "--preset",
        "full",
        "--model",
        "starter",
        "--no_gradient_checkpointing",
        "--dry-run",
        "--json",
    )
    value = mozhu(*words).json()
    assert value["spec"]["gradient_checkpointing"] is False
    assert value["origins"]["gradient_checkpointing"] == "flag"


def test_flags_and_layers_give_one_spec(mozhu: Mozhu, own_workspace: Path) -> None:
    said = mozhu("train", "--preset", "lora", "--model", "starter", "--dry_run", "--json").json()["spec"]
    resolved = resolve(TrainSpec, Layers(flags={"model": "starter"}, preset="lora", environment={}))
    assert said == json.loads(resolved.spec.model_dump_json())
