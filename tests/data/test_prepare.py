"""``data prepare``: seed 003's files, all or nothing, the same bytes again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mozhu.engine.data import prepare, swap
from mozhu.engine.data.formatted import formatted_text
from mozhu.engine.data.prepare import run_prepare
from mozhu.engine.data.sample import write_sample
from mozhu.kernel.errors import NoUsableRows, TooManyRejectedRows
from mozhu.kernel.files import read_jsonl, sha256_file
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.snapshot import PreparedRow, Snapshot

FILES = {
    "train_train.jsonl",
    "train_validation.jsonl",
    "train_test.jsonl",
    "rejected.jsonl",
    "snapshot.json",
    "card.md",
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_seeds_command_makes_its_three_files(own_folder: Path, events: Any) -> None:
    write_sample("data/sample")
    spec = PrepareSpec(
        input="data/sample/sample_data.json",
        input_format="json",
        format_type="alpaca",
        output_dir="data/finetune",
        output_name="train",
    )
    outcome = run_prepare(spec, own_folder / "data/finetune", events)
    target = own_folder / "data/finetune"
    assert set(contents(target)) == FILES
    sizes = {
        part: len(list(read_jsonl(target / f"train_{part}.jsonl")))
        for part in ("train", "validation", "test")
    }
    assert sizes == {"train": 8, "validation": 1, "test": 1}
    for part in sizes:
        for row in read_jsonl(target / f"train_{part}.jsonl"):
            PreparedRow.model_validate(row)
            assert row["text"].startswith("<s>[INST] ") and row["text"].endswith(" </s>")
            assert row["messages"][-1]["content"].strip() in row["text"]
    snapshot = Snapshot.read(target / "snapshot.json")
    for file in snapshot.parts.values():
        assert file.sha256 == sha256_file(target / file.path)
    assert outcome.artefacts[0].path == "snapshot.json"
    card = (target / "card.md").read_text(encoding="utf-8")
    assert card.index("来源") < card.index("sources")


def test_the_same_request_again_changes_no_byte(own_folder: Path, events: Any, write: Any) -> None:
    rows = [{"instruction": f"问{n}", "output": f"答{n}"} for n in range(20)] + [{"instruction": "问"}]
    spec = PrepareSpec(input=str(write("raw.json", rows)), output_dir="out", max_rejected_share=0.1)
    run_prepare(spec, own_folder, events)
    before = contents(own_folder / "out")
    run_prepare(spec, own_folder, events)
    assert contents(own_folder / "out") == before
    spec = spec.model_copy(update={"seed": 7})
    run_prepare(spec, own_folder, events)
    assert contents(own_folder / "out")["train_test.jsonl"] != before["train_test.jsonl"]


def test_rejected_rows_are_in_the_file_and_in_a_finding(own_folder: Path, events: Any, write: Any) -> None:
    lines = [json.dumps({"prompt": f"问{n}", "completion": f"答{n}"}) for n in range(9)]
    lines.insert(4, '{"prompt": "问", "completion": ""}')
    lines.insert(6, "{broken")
    path = str(write("raw.jsonl", "\n".join(lines)))
    run_prepare(PrepareSpec(input=path, output_dir="out", max_rejected_share=0.2), own_folder, events)
    rejected = list(read_jsonl(own_folder / "out/rejected.jsonl"))
    assert [(row["file"], row["line"], row["field"], row["code"]) for row in rejected] == [
        ("raw.jsonl", 5, "completion", "DATA-105"),
        ("raw.jsonl", 7, "", "DATA-101"),
    ]
    assert all(set(row) == {"file", "line", "field", "code", "params", "excerpt", "fix"} for row in rejected)
    assert events.codes() == ["DATA-131"]


def test_one_row_goes_to_training_and_the_other_files_are_empty(
    own_folder: Path, events: Any, write: Any
) -> None:
    path = write("one.json", [{"question": "问", "answer": "答"}])
    run_prepare(PrepareSpec(input=str(path), output_dir="out"), own_folder, events)
    assert len(list(read_jsonl(own_folder / "out/train_train.jsonl"))) == 1
    assert (own_folder / "out/train_validation.jsonl").read_bytes() == b""
    assert (own_folder / "out/train_test.jsonl").read_bytes() == b""
    assert events.codes() == ["DATA-130"]


def test_when_all_rows_are_bad_nothing_is_written(own_folder: Path, events: Any, write: Any) -> None:
    path = write("bad.json", [{"instruction": "问", "output": ""}] * 4)
    with pytest.raises(NoUsableRows) as caught:
        run_prepare(PrepareSpec(input=str(path), output_dir="out"), own_folder, events)
    assert "4 × [DATA-105]" in str(caught.value)
    assert not (own_folder / "out").exists()


def test_more_rejected_rows_than_allowed_stop_it_before_anything_is_written(
    own_folder: Path, events: Any, write: Any
) -> None:
    rows = [{"instruction": "问", "output": "答"}] * 9 + [{"instruction": "问", "output": ""}]
    spec = PrepareSpec(input=str(write("raw.json", rows)), output_dir="out", max_rejected_share=0.05)
    with pytest.raises(TooManyRejectedRows) as caught:
        run_prepare(spec, own_folder, events)
    assert "10.0%" in str(caught.value) and "5.0%" in str(caught.value)
    assert not (own_folder / "out").exists()
    run_prepare(spec.model_copy(update={"max_rejected_share": 0.1}), own_folder, events)


@pytest.mark.parametrize("stop_at", range(1, 7))
def test_an_interruption_while_files_change_places_leaves_the_old_ones(
    own_folder: Path, events: Any, monkeypatch: pytest.MonkeyPatch, stop_at: int
) -> None:
    spec = PrepareSpec(input="sample", output_dir="out")
    run_prepare(spec, own_folder, events)
    (own_folder / "out/mine.txt").write_text("other things stay", encoding="utf-8")
    before = contents(own_folder / "out")
    calls = 0
    real = swap.os.replace

    def failing(source: Any, target: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(swap.os, "replace", failing)
    with pytest.raises(KeyboardInterrupt), swap.swap_in(own_folder / "out", last="snapshot.json") as staging:
        for name in FILES:
            (staging / name).write_text("new", encoding="utf-8")
    assert contents(own_folder / "out") == before


def test_an_error_while_writing_leaves_the_old_files(
    own_folder: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = PrepareSpec(input="sample", output_dir="out")
    run_prepare(spec, own_folder, events)
    before = contents(own_folder / "out")

    def broken(*_: Any) -> str:
        raise RuntimeError

    monkeypatch.setattr(prepare, "card_text", broken)
    with pytest.raises(RuntimeError):
        run_prepare(spec.model_copy(update={"seed": 1}), own_folder, events)
    assert contents(own_folder / "out") == before


def test_text_rows_hold_text_only_and_no_template_is_put_on_them(
    own_folder: Path, events: Any, write: Any
) -> None:
    path = write("book.txt", "第一段\n\n第二段\n\n第三段\n")
    run_prepare(PrepareSpec(input=str(path), output_dir="out"), own_folder, events)
    rows = [
        row
        for part in ("train", "validation", "test")
        for row in read_jsonl(own_folder / f"out/train_{part}.jsonl")
    ]
    assert sorted(row["text"] for row in rows) == ["第一段", "第三段", "第二段"]
    assert not any("messages" in row for row in rows)


def test_tool_conversations_have_no_llama2_text_and_it_is_said(
    own_folder: Path, events: Any, write: Any
) -> None:
    turns = [
        {"from": "human", "value": "问"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
        {"from": "observation", "value": "1"},
        {"from": "gpt", "value": "答"},
    ]
    run_prepare(
        PrepareSpec(input=str(write("t.json", [{"conversations": turns}])), output_dir="out"),
        own_folder,
        events,
    )
    (row,) = read_jsonl(own_folder / "out/train_train.jsonl")
    assert "text" not in row and row["messages"][1]["tool_calls"]
    assert "DATA-132" in events.codes()


def test_the_llama2_text_is_what_metas_own_template_writes() -> None:
    jinja2 = pytest.importorskip("jinja2")
    from mozhu.testing.tiny_tokenizers import template_text

    template = jinja2.Environment().from_string(template_text("llama2"))
    conversation = [
        {"role": "system", "content": "你是 {助手}。"},
        {"role": "user", "content": " 第一问\n"},
        {"role": "assistant", "content": "第一答 "},
        {"role": "user", "content": "第二问 {x}"},
        {"role": "assistant", "content": "第二答"},
    ]
    for messages in (conversation, conversation[1:], conversation[1:3]):
        expected = template.render(messages=messages, bos_token="<s>", eos_token="</s>")
        assert formatted_text(messages, "llama2") == expected


def test_shares_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValidationError, match="data.rule.shares_add_to_one"):
        PrepareSpec(input="sample", test_share=0.3)
    PrepareSpec(input="sample", train_share=1.0, validation_share=0.0, test_share=0.0)


def bad_rows(count: int, bad: int) -> list[dict[str, str]]:
    return [{"instruction": f"问{n}", "output": "答" if n >= bad else ""} for n in range(count)]


def test_more_than_half_a_percent_lost_stops_the_run_unless_another_limit_is_named(
    own_folder: Path, events: Any, write: Any
) -> None:
    run_prepare(
        PrepareSpec(input=str(write("few.json", bad_rows(400, 2))), output_dir="out"), own_folder, events
    )
    path = write("more.json", bad_rows(400, 3))
    spec = PrepareSpec(input=str(path), output_dir="out", output_name="more", seed=7, fix="html,pii")
    with pytest.raises(TooManyRejectedRows) as caught:
        run_prepare(spec, own_folder / "run", events)
    params = caught.value.params
    assert (params["count"], params["share"], params["limit"]) == (3, "0.75%", "0.50%")
    words = str(params["command"]).split()
    assert words[:3] == ["mozhu", "data", "prepare"]
    given = dict(zip(words[3::2], words[4::2]))
    assert given.pop("--max_rejected_share") == "0.0075"
    assert given == {
        "--input": "more.json", "--output_dir": "out", "--output_name": "more", "--seed": "7", "--fix": "html,pii",
    }  # fmt: skip
    run_prepare(spec.model_copy(update={"max_rejected_share": 0.0075}), own_folder / "run", events)


def test_when_a_run_stops_its_rejected_rows_can_be_read_and_a_good_snapshot_stays(
    own_folder: Path, events: Any, write: Any
) -> None:
    run_prepare(
        PrepareSpec(input=str(write("few.json", bad_rows(400, 1))), output_dir="out"), own_folder, events
    )
    before = contents(own_folder / "out")
    for name, bad, error in (("more", 9, TooManyRejectedRows), ("all", 20, NoUsableRows)):
        spec = PrepareSpec(input=str(write(f"{name}.json", bad_rows(20, bad))), output_dir="out")
        for folder, file in ((name, "rejected.jsonl"), ("out", "stopped_rejected.jsonl")):
            with pytest.raises(error) as caught:
                run_prepare(spec, own_folder / folder, events)
            assert f"{folder}/{file}" in str(caught.value)
            assert len(list(read_jsonl(own_folder / folder / file))) == bad
        (own_folder / "out/stopped_rejected.jsonl").unlink()
        assert contents(own_folder / "out") == before
