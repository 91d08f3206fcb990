"""What goes wrong in daily use: one clear catalogued error, in the user's language, and nothing there is changed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from typed import Mozhu, tree

from mozhu.specs.data import PrepareSpec
from mozhu.specs.train import TrainSpec
from mozhu.workspace.places import with_absolute_paths
from mozhu.workspace.runs import make_run

CHINESE = re.compile(r"[\u4e00-\u9fff]")
TRAIN = ("train", "--model", "starter", "--dataset", "sample", "--output_dir", "run")


@dataclass(frozen=True)
class Case:
    """``prepare`` puts the fault in place; ``codes`` are the errors that may be told, the first of them as a rule."""

    id: str
    words: tuple[str, ...]
    code: str
    exit_code: int
    prepare: Callable[[Path], None] = lambda root: None
    names: tuple[str, ...] = ()


def _write(name: str, content: str) -> Callable[[Path], None]:
    def write(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")

    return write


def _no_model(root: Path) -> None:
    (root / "photos").mkdir()
    (root / "photos/cat.txt").write_text("a cat", encoding="utf-8")


def _run_folder(root: Path, **changed: object) -> Path:
    """A run folder as ``TRAIN`` makes it, not started."""
    spec = with_absolute_paths(
        TrainSpec(model="starter", dataset="sample", output_dir="run", **changed), root
    )
    make_run(spec, {}, root / "run")
    return root / "run"


def _other_run(root: Path) -> None:
    _run_folder(root, lora_rank=4, seed=1)


def _torn_spec(root: Path) -> None:
    path = _run_folder(root) / "spec.json"
    path.write_bytes(path.read_bytes()[:200])


def _torn_result(root: Path) -> None:
    (_run_folder(root) / "result.json").write_text('{"schema": 1, "state": "succ', encoding="utf-8")


def _wrong_record(root: Path) -> None:
    path = _run_folder(root) / "spec.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["fields"]
    path.write_text(json.dumps({**content, "run": 7}), encoding="utf-8")


def _other_verb(root: Path) -> None:
    make_run(PrepareSpec(input="rows.json"), {}, root / "run")


def _holiday(root: Path) -> None:
    (root / "run").mkdir()
    (root / "run/letter.txt").write_text("mine", encoding="utf-8")


def _file_in_the_way(root: Path) -> None:
    (root / "run").write_text("mine", encoding="utf-8")


def _adapter_alone(root: Path) -> None:
    (root / "adapter").mkdir()
    (root / "adapter/adapter_config.json").write_text('{"peft_type": "LORA", "r": 8}', encoding="utf-8")


CASES = (
    # a missing file
    Case("missing data", (*TRAIN[:4], "missing.json", *TRAIN[5:]), "FILE-001", 3, names=("missing.json",)),
    Case("unknown data", (*TRAIN[:4], "medicl_qa", *TRAIN[5:]), "DATA-001", 3, names=("medicl_qa",)),
    Case("missing input", ("data", "prepare", "--input", "rows.json"), "FILE-001", 3, names=("rows.json",)),
    Case("missing config", ("train", "--config", "mine.json"), "FILE-001", 3, names=("mine.json",)),
    Case("missing model", ("infer", "--checkpoint", "./nowhere"), "FILE-001", 3, names=("nowhere",)),
    Case("unknown model", ("infer", "--checkpoint", "nobody"), "MODEL-002", 3, names=("nobody",)),
    Case("missing run", ("run", "6_output/never"), "RUN-001", 3, names=("6_output/never",)),
    Case("missing run to show", ("runs", "show", "never"), "RUN-001", 3, names=("never",)),
    Case(
        "missing batch",
        ("infer", "--mode", "batch", "--input", "questions.txt"),
        "FILE-001",
        3,
        names=("questions.txt",),
    ),
    # wrong JSON
    Case(
        "wrong config",
        ("train", "--config", "mine.json"),
        "SPEC-003",
        2,
        _write("mine.json", '{\n  "model": "starter",\n  "seed" 42\n}'),
        names=("mine.json", "3"),
    ),
    Case(
        "wrong workspace config",
        ("info", "--config"),
        "SPEC-003",
        2,
        _write("0_configs/0_train_config.json", "[1, 2]"),
        names=("0_train_config.json",),
    ),
    Case(
        "wrong data",
        (*TRAIN[:4], "rows.json", *TRAIN[5:]),
        "FILE-004",
        3,
        _write("rows.json", '[{"instruction": "a", "output": "b"}'),
        names=("rows.json",),
    ),
    Case(
        "wrong input",
        ("data", "prepare", "--input", "rows.json", "--output_dir", "made"),
        "FILE-004",
        3,
        _write("rows.json", '[{"instruction": "a", "output": "b"},\n {"instruction": }]'),
        names=("rows.json", "2"),
    ),
    Case(
        "config in GBK",
        ("train", "--config", "mine.json"),
        "FILE-009",
        3,
        lambda root: (root / "mine.json").write_bytes('{"comment": "训练"}'.encode("gbk")) and None,
        names=("mine.json",),
    ),
    # a folder that is no model
    Case(
        "no model", ("train", "--model", "photos", *TRAIN[3:]), "MODEL-001", 3, _no_model, names=("photos",)
    ),
    Case(
        "no model to ask", ("infer", "--checkpoint", "photos"), "MODEL-001", 3, _no_model, names=("photos",)
    ),
    Case(
        "no model to convert",
        ("convert", "--model", "photos", "--output_path", "made"),
        "MODEL-001",
        3,
        _no_model,
        names=("photos",),
    ),
    # an unknown verb, flag, preset, value
    Case("unknown verb", ("trian", "--model", "starter"), "CLI-001", 2, names=("trian", "train")),
    Case("unknown group verb", ("runs", "lst"), "CLI-001", 2, names=("runs list",)),
    Case("unknown flag", (*TRAIN, "--lora_rnk", "8"), "CLI-002", 2, names=("--lora_rnk", "--lora_rank")),
    Case("unknown preset", (*TRAIN, "--preset", "lorra"), "SPEC-002", 2, names=("lorra", "lora")),
    Case("flag without value", ("train", "--model"), "CLI-003", 2, names=("--model",)),
    Case("a word too many", ("train", "starter"), "CLI-003", 2, names=("starter",)),
    Case(
        "wrong values",
        (*TRAIN, "--lora_rank", "0", "--learning_rate", "fast", "--train_type", "lorra"),
        "SPEC-001",
        2,
        names=("lora_rank", "learning_rate", "train_type", "qlora"),
    ),
    Case("nothing to train", ("train",), "SPEC-001", 2, names=("--model", "--dataset")),
    # a folder that cannot be written
    Case("read-only run", (*TRAIN[:-1], "/proc/mozhu-run"), "FILE-002", 4, names=("/proc/mozhu-run",)),
    Case(
        "read-only data",
        ("data", "sample", "--output_dir", "/proc/mozhu-data"),
        "FILE-002",
        4,
        names=("/proc/mozhu-data",),
    ),
    Case("read-only workspace", ("init", "/proc/mozhu"), "FILE-002", 4, names=("/proc/mozhu",)),
    Case("file in the way", TRAIN, "RUN-006", 5, _file_in_the_way),
    # a run folder cut off in the middle of a write
    Case("torn spec", TRAIN, "FILE-004", 3, _torn_spec, names=("spec.json",)),
    Case("torn spec resumed", ("run", "run"), "FILE-004", 3, _torn_spec, names=("spec.json",)),
    Case("torn result", ("runs", "show", "run"), "FILE-004", 3, _torn_result, names=("result.json",)),
    Case("wrong record", TRAIN, "FILE-006", 3, _wrong_record, names=("spec.json", "fields", "run")),
    # another spec, or other files, in the run folder
    Case("another spec", TRAIN, "RUN-002", 5, _other_run, names=("lora_rank", "seed", "mozhu run")),
    Case("another verb", TRAIN, "RUN-002", 5, _other_verb, names=("train",)),
    Case("somebody's files", TRAIN, "RUN-006", 5, _holiday, names=("letter.txt",)),
    # the registry
    Case("nothing to register", ("registry", "register", "--path", "photos"), "REG-003", 3, _no_model),
    Case("unknown reference", ("registry", "show", "--name", "nobody"), "REG-001", 3, names=("nobody",)),
    # no question
    Case("no question", ("infer", "--mode", "single"), "INFER-001", 2),
)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_one_clear_error_and_nothing_changed(
    case: Case, language: str, mozhu: Mozhu, own_workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case.prepare(own_workspace)
    before = tree(own_workspace)
    monkeypatch.setenv("MOZHU_LANG", language)
    said = mozhu(*case.words)
    assert said.code == case.exit_code, said
    assert said.out == ""
    assert f" {case.code}: " in said.err, said.err
    assert "Traceback" not in said.err
    assert bool(CHINESE.search(said.err)) == (language == "zh"), said.err
    for name in case.names:
        assert name in said.err, said.err
    kept = {name: content for name, content in tree(own_workspace).items() if "/6_output" not in name}
    assert kept == before


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.id in {"unknown flag", "another spec", "wrong input"}],
    ids=lambda case: case.id,
)
def test_an_error_is_one_json_object_with_json(case: Case, mozhu: Mozhu, own_workspace: Path) -> None:
    case.prepare(own_workspace)
    said = mozhu(*case.words, "--json")
    error = said.json()["error"]
    assert (said.code, error["code"]) == (case.exit_code, case.code)
    assert error["message"] and error["next"]
    assert isinstance(error["params"], dict)


def test_every_problem_of_a_request_is_told_at_once(mozhu: Mozhu) -> None:
    said = mozhu("train", "--lora_rank", "x", "--batch_size=-1", "--validation_split", "2")
    lines = said.err.splitlines()
    for name in ("model", "dataset", "lora_rank", "batch_size", "validation_split"):
        assert sum(f"`{name}`" in line for line in lines) == 1, name
    assert "5 wrong value(s)" in said.err
    said = mozhu("train", "--modle", "a", "--datset=b", "--dry-runn")
    assert all(
        flag in said.err
        for flag in ("--modle", "--datset", "--dry-runn", "--model", "--dataset", "--dry_run")
    )


def test_every_finding_against_a_training_is_told_at_once(mozhu: Mozhu, own_workspace: Path) -> None:
    _no_model(own_workspace)
    said = mozhu(
        "train", "--model", "photos", "--dataset", "nowhere.json", "--engine", "warp", "--device", "cuda"
    )
    for code in ("MODEL-001", "FILE-001", "TRAIN-022", "MODEL-014"):
        assert code in said.err, said.err
    assert said.code in {2, 3} and "Traceback" not in said.err


def test_a_leftover_of_a_cut_off_write_does_not_block_the_run(mozhu: Mozhu, own_workspace: Path) -> None:
    """The process was killed while the very first file was written: nothing of a run is there yet."""
    (own_workspace / "run").mkdir()
    (own_workspace / "run/.spec.json.x8f2k1.tmp").write_text('{"schema": 1, "ve', encoding="utf-8")
    said = mozhu(*TRAIN, "--dry_run")
    assert said.code == 0, said.err
    request = with_absolute_paths(TrainSpec(model="starter", dataset="sample", output_dir="run"))
    assert make_run(request, {}, own_workspace / "run").request().verb == "train"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB with nothing left on it."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here (needs root)")
    try:
        (place / "precious.txt").write_text("kept", encoding="utf-8")
        with open(place / "ballast", "wb", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"\0" * 4096)
            except OSError:
                pass
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize(
    "words",
    [
        ("data", "sample", "--output_dir", "{disk}"),
        ("data", "prepare", "--input", "rows.json", "--output_dir", "{disk}"),
        ("init", "{disk}/workspace"),
        ("train", "--model", "starter", "--dataset", "sample", "--output_dir", "{disk}/run"),
        ("infer", "--mode", "batch", "--input", "questions.txt", "--output", "{disk}/answers.jsonl"),
    ],
    ids=["sample", "prepare", "init", "train", "infer"],
)
def test_a_full_disk_is_named_and_leaves_what_was_there(
    words: tuple[str, ...], full_disk: Path, mozhu: Mozhu, own_workspace: Path
) -> None:
    _write("rows.json", json.dumps([{"instruction": f"q{n}", "output": f"a{n}"} for n in range(40)]))(
        own_workspace
    )
    _write("questions.txt", "Who are you?\n")(own_workspace)
    before = tree(full_disk)
    said = mozhu(*(word.format(disk=full_disk) for word in words))
    assert said.code == 4, said
    assert "FILE-003" in said.err or "FILE-002" in said.err, said.err
    assert str(full_disk) in said.err and "Traceback" not in said.err
    after = tree(full_disk)
    assert {name: after.get(name) for name in before} == before
    assert not [name for name, content in after.items() if content != "/" and name not in before]
