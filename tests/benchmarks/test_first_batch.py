"""The benchmark against other tools' preprocessing: the same rows for all, honest digests, peers that may be absent."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import first_batch  # noqa: E402
from benchmarks.harness import Skipped  # noqa: E402
from benchmarks.peers import environments, marks, material, process  # noqa: E402
from mozhu.kernel.files import write_json  # noqa: E402


def test_the_rows_are_the_same_each_time_and_all_different():
    few, many = list(material.generated_rows(50)), list(material.generated_rows(120))
    assert many[:50] == few
    assert len({row["instruction"] for row in many}) == 120
    assert all(row["output"].endswith("。") for row in many) and any(row["input"] for row in many)


@pytest.fixture
def said(tmp_path, monkeypatch):
    """Marks of a driver whose answer is read back."""
    settings, answer = tmp_path / "settings.json", tmp_path / "answer.json"
    write_json(settings, {})
    monkeypatch.setattr(sys, "argv", ["driver", str(settings), str(answer)])

    def digest(rows):
        made = marks.Marks()
        made.digest(rows)
        made.answer()
        return json.loads(answer.read_text(encoding="utf-8"))["digest"]

    return digest


def test_a_digest_knows_every_id_and_label_and_not_the_order(said):
    rows = [([1, 2, 3, 9], [-100, 2, 3, -100]), ([4, 5, 9], [-100, 5, -100])]
    told = said(rows)
    assert told == said(rows[::-1])
    assert (told["rows"], told["tokens"], told["labels"]) == (2, 7, 3)
    other_id = [([1, 2, 7, 9], [-100, 2, 3, -100]), rows[1]]
    other_label = [([1, 2, 3, 9], [1, 2, 3, -100]), rows[1]]
    assert said(other_id)["ids_sum"] != told["ids_sum"]
    changed = said(other_label)
    assert changed["ids_sum"] == told["ids_sum"] and changed["labels_sum"] != told["labels_sum"]


def test_only_the_line_break_after_a_turn_may_be_learnt_or_not(said):
    with_break = said([([1, 2, 9], [-100, 2, 9])])
    without = said([([1, 2, 9], [-100, 2, -100])])
    assert with_break["labels_sum"] == without["labels_sum"] and with_break["labels"] == 2


def test_sides_that_lose_a_row_or_differ_in_an_id_are_no_comparison():
    told = {"kept": 10, "rows": 10, "tokens": 5, "ids_sum": 1, "labels_sum": 2, "labels": 3}
    first_batch._check({"a": told, "b": {**told, "labels": 4}}, 10)
    with pytest.raises(AssertionError, match="b kept 9 of 10"):
        first_batch._check({"a": told, "b": {**told, "kept": 9}}, 10)
    with pytest.raises(AssertionError, match="ids_sum differs"):
        first_batch._check({"a": told, "b": {**told, "ids_sum": 7}}, 10)


def test_an_environment_counts_when_it_is_whole_and_of_todays_requirements(tmp_path):
    assert environments.python_of("swift", tmp_path) is None
    stamp = tmp_path / "swift" / "mozhu-peer.json"
    stamp.parent.mkdir()
    wanted = environments._wanted(environments.PEERS["swift"])
    assert wanted[0].startswith("torch==") and "+" not in wanted[0]
    write_json(stamp, {"requirements": [*wanted, "more==1"], "packages": {}})
    assert environments.python_of("swift", tmp_path) is None
    write_json(stamp, {"requirements": wanted, "packages": {"ms-swift": "4.6.0"}})
    assert environments.python_of("swift", tmp_path) is not None
    assert environments.packages_of("swift", tmp_path) == {"ms-swift": "4.6.0"}


def test_without_any_peer_the_benchmark_is_skipped_with_the_command_that_helps(tmp_path, monkeypatch):
    monkeypatch.setenv("MOZHU_PEERS", str(tmp_path / "none"))
    nothing = material.Material(*[tmp_path] * 4, rows=0)
    with pytest.raises(Skipped, match=r"python -m benchmarks\.peers\.environments"):
        first_batch._peers(nothing, tmp_path)


def test_a_driver_that_fails_is_no_measurement(tmp_path):
    with pytest.raises(RuntimeError, match="No module named"):
        process.drive(Path(sys.executable), "benchmarks.peers.nothing", {"output": str(tmp_path)}, {})


def test_a_run_is_told_from_its_start_and_from_the_end_of_its_imports():
    now = time.monotonic()
    moments = {"imported": {"at": now + 2, "cpu_s": 1.5}, "batch": {"at": now + 5, "cpu_s": 6.0}}
    driven = process.Driven(now, 7 << 20, moments)
    assert (round(driven.whole().wall_s, 6), driven.whole().cpu_s, driven.whole().peak_bytes) == (
        5,
        6.0,
        7 << 20,
    )
    assert (round(driven.work().wall_s, 6), driven.work().cpu_s) == (3, 4.5)


@pytest.mark.slow
def test_our_side_gives_what_the_template_says_and_the_same_from_its_cache(tmp_path):
    from transformers import AutoTokenizer

    made = material.write_material(tmp_path / "material", 120)
    side = first_batch._Side("Mozhu", Path(sys.executable), "ours", made, tmp_path / "ours")
    told = side.fill()
    assert told == side.fill(), "the second one reads the cache"
    tokenizer = AutoTokenizer.from_pretrained(made.model)
    tokens = 0
    for row in material.generated_rows(120):
        question = "\n".join(part for part in (row["instruction"], row["input"]) if part)
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": row["output"]}]
        tokens += len(tokenizer.apply_chat_template(messages, return_dict=True)["input_ids"])
    assert (told["kept"], told["tokens"]) == (120, tokens)
