"""``--fix`` and ``data fix``: what is shown is what is done, and the snapshot says what was done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mozhu
from mozhu.cli.main import main
from mozhu.engine.data.fixers.preview import run_fix
from mozhu.engine.data.fixers.table import FIXERS
from mozhu.engine.data.prepare import run_prepare
from mozhu.kernel.errors import UnknownFixers
from mozhu.kernel.files import read_jsonl
from mozhu.specs.data import FixSpec, PrepareSpec
from mozhu.specs.records.snapshot import Snapshot

DIRTY = [
    {"instruction": "怎样退货？", "input": "", "output": "<p>点击<b>退货</b></p>"},
    {"instruction": "多少天？", "input": "", "output": 7},
    {"instruction": "电话？", "input": "", "output": "打 13812345678\u200b"},
    {"instruction": "ＡＢ是什么", "input": "", "output": "<br>"},
    {"instruction": "干净的", "input": "", "output": "一行"},
]


def prepared(folder: Path, name: str = "out") -> dict[str, dict[str, Any]]:
    rows = [row for path in sorted((folder / name).glob("train_*.jsonl")) for row in read_jsonl(path)]
    return {row["messages"][0]["content"]: row for row in rows}


def test_every_changed_row_says_what_changed_it_and_the_snapshot_counts(
    own_folder: Path, write: Any, events: Any
) -> None:
    spec = PrepareSpec(
        input=str(write("d.json", DIRTY)),
        output_dir="out",
        fix="pii,html numbers,invisible",
        max_rejected_share=0.2,
    )
    run_prepare(spec, own_folder, events)
    rows = prepared(own_folder)
    assert {question: row["source"].get("fixed") for question, row in rows.items()} == {
        "怎样退货？": ["html"],
        "多少天？": ["numbers"],
        "电话？": ["invisible", "pii"],
        "干净的": None,
    }
    assert rows["电话？"]["messages"][1]["content"] == "打 [PHONE]"
    assert rows["多少天？"]["messages"][1]["content"] == "7"
    snapshot = Snapshot.read(own_folder / "out/snapshot.json")
    assert {name: (fix.rows, fix.changes) for name, fix in snapshot.fixes.items()} == {
        "numbers": (1, 1),
        "html": (1, 1),
        "invisible": (1, 1),
        "pii": (1, 1),
    }
    (rejected,) = read_jsonl(own_folder / "out/rejected.jsonl")
    assert (rejected["code"], rejected["params"]["fixer"]) == ("DATA-119", "html")
    card = (own_folder / "out/card.md").read_text(encoding="utf-8")
    assert "| `html` 1 | 1 | 1 |" in card
    assert "Mended with `html`: 1 rows (1 texts)." in [event.get("message") for event in events]


def test_prepared_again_a_row_keeps_what_was_done_before(own_folder: Path, write: Any, events: Any) -> None:
    run_prepare(
        PrepareSpec(input=str(write("d.json", DIRTY[:1])), output_dir="out", fix="html"), own_folder, events
    )
    path = str(own_folder / "out/train_train.jsonl")
    run_prepare(PrepareSpec(input=path, output_dir="again", fix="width,html"), own_folder, events)
    assert prepared(own_folder, "again")["怎样退货？"]["source"]["fixed"] == ["html"]


def test_the_preview_says_what_each_fixer_would_change_and_writes_nothing(
    own_folder: Path, write: Any
) -> None:
    path = write("d.json", DIRTY)
    report = run_fix(FixSpec(dataset=str(path)))
    found = {one.name: one for one in report.fixers}
    assert set(found) == FIXERS.keys() - {"simplified", "traditional"}
    assert (report.rows, report.rejected) == (4, 1)
    assert report.useful == ["numbers", "html", "invisible", "width", "pii"]
    assert (found["html"].rows, found["html"].emptied, found["numbers"].made_usable) == (2, 1, 1)
    example = found["html"].examples[0]
    assert (example.before, example.after) == ("<p>点击<b>退货</b></p>", "点击退货")
    assert sorted(own_folder.iterdir()) == [path]


def test_the_preview_does_not_show_the_private_data_it_finds(write: Any) -> None:
    report = run_fix(FixSpec(dataset=str(write("d.json", DIRTY)), fix=("pii",)))
    assert "13812345678" not in json.dumps(report.to_json(), ensure_ascii=False)


def test_rows_that_need_several_fixers_count_for_each(write: Any) -> None:
    turns = [
        {"role": "assistant", "content": "欢迎"},
        {"role": "user", "content": 5},
        {"role": "assistant", "content": "好"},
    ]
    report = run_fix(
        FixSpec(dataset=str(write("d.json", [{"messages": turns}, *[{"messages": turns[1:]}] * 2])))
    )
    assert {one.name: one.made_usable for one in report.fixers if one.made_usable} == {
        "numbers": 3,
        "roles": 1,
    }


def test_fewer_rows_are_shown_where_fewer_are_asked_for(write: Any) -> None:
    rows = [{"instruction": f"问{n}", "output": f"ＡＢ{n}"} for n in range(30)]
    path = str(write("d.json", rows))
    for wanted, shown in ((0, 0), (3, 3), (10, 10), (99, 30)):
        (width,) = run_fix(FixSpec(dataset=path, fix=("width",), rows=wanted)).fixers
        assert (width.rows, len(width.examples)) == (30, shown)


def test_the_command_shows_differences_and_what_to_type_next(
    own_folder: Path, write: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write("d.json", DIRTY)
    assert main(["data", "fix", "--dataset", "d.json"]) == 0
    shown = capsys.readouterr().out
    assert "[-<p>-]点击[-<b>-]退货[-</b></p>-]" in shown
    assert "mozhu data prepare --input d.json --fix numbers,html,invisible,width,pii" in shown
    assert main(["data", "fix", "--dataset", "d.json", "--json", "--fix", "html"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["fixers"]] == ["html"]
    assert main(["data", "fix", "--dataset", "d.json", "--fix", "htlm,numbres"]) == 2
    assert "DATA-041" in capsys.readouterr().err
    write("clean.json", DIRTY[-1:])
    assert main(["data", "fix", "--dataset", "clean.json"]) == 0
    assert "mozhu data prepare" not in capsys.readouterr().out


def test_the_function_says_what_the_command_says(write: Any) -> None:
    report = mozhu.fix_preview(write("d.json", DIRTY), fix="html", rows=1)
    assert report.useful == ["html"] and len(report.fixers[0].examples) == 1


def test_unknown_names_stop_a_preparation_before_it_reads(own_folder: Path, write: Any, events: Any) -> None:
    spec = PrepareSpec(input=str(write("d.json", DIRTY)), output_dir="out", fix=("htlm", "spces"))
    with pytest.raises(UnknownFixers) as caught:
        run_prepare(spec, own_folder, events)
    assert caught.value.params["near"] == ["html", "spaces"]
    assert not events and not (own_folder / "out").exists()
