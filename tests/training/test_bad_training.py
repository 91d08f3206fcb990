"""What an engineer may type wrong when training: told before anything is loaded, all of it at once, with the right
exit code, and nothing is written; what shows only on the way ends the run without leaving spoilt weights.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mozhu.cli.main import main
from mozhu.engine.training.run import run_training
from mozhu.kernel.errors import MozhuError, OneLabel, ValidationNotFinite, WeightsNotFinite
from mozhu.kernel.texts import set_language
from mozhu.testing import make_tiny_adapter
from mozhu.workspace.runs import make_run

ROWS: dict[str, list[dict[str, Any]]] = {
    "sft": [{"instruction": f"问题{n}", "output": f"回答{n}"} for n in range(12)],
    "text": [{"text": f"第{n}行文本。"} for n in range(12)],
    "pairs": [
        {
            "messages": [{"role": "user", "content": f"第{n}个问题"}],
            "chosen": [{"role": "assistant", "content": f"好{n}"}],
            "rejected": [{"role": "assistant", "content": f"不{n}"}],
        }
        for n in range(12)
    ],
    "wanted": [{"prompt": f"第{n}个", "completion": f"回答{n}", "label": True} for n in range(12)],
    "one_class": [{"text": f"第{n}件", "label": "好"} for n in range(12)],
}


@pytest.fixture(scope="module")
def shelf(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and models of all kinds; no test may change them."""
    root = tmp_path_factory.mktemp("shelf")
    for name, rows in ROWS.items():
        (root / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    make_tiny_adapter(root / "adapter", tiny, record=True)
    shutil.copytree(tiny, root / "plain")
    shutil.copytree(tiny, root / "silent")
    (root / "silent/chat_template.jinja").unlink()
    shutil.copytree(tiny, root / "gptq")
    config = json.loads((root / "gptq/config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    (root / "gptq/config.json").write_text(json.dumps(config), encoding="utf-8")
    (root / "a_file").write_text("x", encoding="utf-8")
    return root


@dataclass(frozen=True)
class Case:
    """``words`` beside a model and its data; ``code`` with ``exit_code`` and words of the message."""

    id: str
    words: str
    code: str
    exit_code: int
    names: tuple[str, ...] = ()
    model: str = "plain"
    data: str = "sft"


CASES = [
    Case("nan", "--learning_rate nan", "SPEC-001", 2, ("learning_rate", "nan")),
    Case("infinite", "--learning_rate inf", "SPEC-001", 2, ("learning_rate", "inf")),
    Case("negative", "--learning_rate -1", "SPEC-001", 2, ("learning_rate",)),
    Case("rank", "--lora_rank 0", "SPEC-001", 2, ("lora_rank", "0")),
    Case("epochs", "--num_train_epochs 0", "SPEC-001", 2, ("num_train_epochs",)),
    Case("endless", "--num_train_epochs inf", "SPEC-001", 2, ("num_train_epochs",)),
    Case("decay", "--weight_decay inf", "SPEC-001", 2, ("weight_decay",)),
    Case("beta", "--stage dpo --beta inf", "SPEC-001", 2, ("beta",), data="pairs"),
    Case("share", "--validation_split 1", "SPEC-001", 2, ("validation_split",)),
    Case("batch", "--batch_size 0", "SPEC-001", 2, ("batch_size",)),
    Case("stage", "--stage dop", "SPEC-001", 2, ("dop", "`dpo`")),
    Case("alpha", "--train_type full --lora_alpha 32", "", 2, ("lora_alpha", "full")),
    Case("dora", "--train_type full --use_dora", "", 2, ("use_dora", "full")),
    Case("quantised full", "--train_type full --quantization 4bit", "SPEC-001", 2, ("--quantization",)),
    Case("pissa", "--lora_init pissa --quantization 4bit", "SPEC-001", 2, ("PiSSA",)),
    Case("targets", "--target_modules q_projj, nothing", "TRAIN-026", 2, ("q_projj", "nothing")),
    Case("adapter", "", "TRAIN-024", 2, ("adapter",), model="adapter"),
    Case("gptq", "--train_type full", "", 2, ("gptq",), model="gptq"),
    Case("silent", "", "MODEL-003", 3, ("silent",), model="silent"),
    Case("dpo on sft", "--stage dpo", "DATA-011", 3, ("dpo", "`chosen`")),
    Case("sft on dpo", "", "DATA-011", 3, ("sft", "pairs.json"), data="pairs"),
    Case("kto on sft", "--stage kto", "DATA-011", 3, ("kto", "`label`")),
    Case("validation of dpo", "--val_dataset {shelf}/pairs.json", "DATA-011", 3, ("pairs.json",)),
    Case("only wanted", "--stage kto", "TRAIN-093", 3, ("True", "kto"), data="wanted"),
    Case("one class", "--stage classification", "TRAIN-093", 3, ("好",), data="one_class"),
    Case("prefix", "--stage dpo --train_type prefix", "TRAIN-009", 2, ("dpo", "prefix"), data="pairs"),
    Case("a file", "--output_dir {shelf}/a_file", "RUN-006", 5, ("a_file",)),
    Case("a full folder", "--output_dir {shelf}/plain", "RUN-006", 5, ("config.json",)),
    Case("no such data", "", "FILE-001", 3, ("missing.json",), data="missing"),
    Case("no such model", "", "FILE-001", 3, ("nowhere",), model="nowhere"),
]


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    yield
    set_language(None)


def _tree(root: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file()}


def _words(case: Case, shelf: Path, out: Path) -> list[str]:
    words = ["train", "--model", f"{shelf}/{case.model}", "--dataset", f"{shelf}/{case.data}.json"]
    more = case.words.format(shelf=shelf).split()
    return [*words, *([] if "--output_dir" in more else ["--output_dir", str(out)]), *more]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_wrong_request_is_told_before_anything_is_written(
    case: Case, language: str, shelf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = _tree(shelf)
    code = main([*_words(case, shelf, tmp_path / "run"), "--lang", language])
    said = capfd.readouterr().err
    assert code == case.exit_code, said
    assert case.code in said and "Traceback" not in said and "BUG-" not in said
    assert re.search(r"[A-Z]+-\d{3}", said)
    for name in case.names:
        assert name in said, said
    next_step = {"zh": "下一步", "en": "Next:"}[language]
    assert next_step in said, "what to do next"
    assert not (tmp_path / "run").exists() and _tree(shelf) == before


@pytest.mark.parametrize("case", [case for case in CASES if case.id in {"a file", "prefix", "only wanted"}])
def test_a_dry_run_says_the_same(
    case: Case, shelf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main([*_words(case, shelf, tmp_path / "run"), "--dry_run", "--lang", "en"]) == case.exit_code
    assert case.code in capfd.readouterr().err


def test_all_that_stands_against_a_training_is_told_at_once(
    shelf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--model", f"{shelf}/adapter", "--dataset", f"{shelf}/missing.json", "--device", "cuda"]
    words += ["--target_modules", "zzz", "--output_dir", f"{shelf}/plain", "--lang", "en"]
    assert main(words) in {2, 3, 4, 5}
    said = capfd.readouterr().err
    for code in ("TRAIN-024", "TRAIN-026", "FILE-001", "RUN-006"):
        assert code in said


def test_a_folder_that_holds_a_run_takes_no_other_request(
    shelf: Path, spec: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_run(spec(dataset=f"{shelf}/sft.json"), {}, tmp_path / "run")
    before = _tree(tmp_path / "run")
    words = ["train", "--model", f"{shelf}/plain", "--dataset", f"{shelf}/sft.json", "--lora_rank", "16"]
    assert main([*words, "--output_dir", str(tmp_path / "run"), "--lang", "en"]) == 5
    said = capfd.readouterr().err
    assert "RUN-002" in said and "lora_rank" in said
    assert _tree(tmp_path / "run") == before


def _checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*"))


def test_spoilt_weights_become_no_checkpoint(spec: Any, tmp_path: Path, events: Any) -> None:
    fields = {"learning_rate": 1e38, "max_grad_norm": 1e30, "validation_split": 0.0, "save_steps": 1}
    with pytest.raises(MozhuError) as caught:
        run_training(spec(**fields, warmup_ratio=0.0), tmp_path / "run", events)
    assert caught.value.code in {WeightsNotFinite.code, "TRAIN-003"}
    assert not (tmp_path / "run/lora_adapter").exists()
    for name in _checkpoints(tmp_path / "run"):
        assert (tmp_path / "run" / name / ".complete").exists()


def test_a_validation_without_a_number_ends_the_run(spec: Any, tmp_path: Path, events: Any) -> None:
    with pytest.raises(ValidationNotFinite) as caught:
        run_training(spec(learning_rate=1e30, max_steps=2, batch_size=9), tmp_path / "run", events)
    assert caught.value.params["step"] == 2 and "1e+30" in caught.value.next
    assert not (tmp_path / "run/lora_adapter").exists()


def test_one_label_is_found_when_the_rows_are_read(
    spec: Any, shelf: Path, tmp_path: Path, events: Any
) -> None:
    """Without a plan, as a run that is started from its folder."""
    for stage, name in (("kto", "wanted"), ("classification", "one_class")):
        with pytest.raises(OneLabel):
            run_training(spec(stage=stage, dataset=f"{shelf}/{name}.json"), tmp_path / stage, events)
