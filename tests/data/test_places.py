"""Folders, patterns, subsets, samples, LLaMA-Factory's registry and the hubs' caches are found without options."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.places import find_place, known_names
from mozhu.engine.data.prepare import run_prepare
from mozhu.engine.data.refs import Ref, parse_ref
from mozhu.kernel.errors import MissingFile, OfflineHub, UnknownDataset, UnknownSubset, UnusableEntry
from mozhu.specs.data import PrepareSpec
from mozhu.workspace.places import with_absolute_paths

PAIRS = [{"instruction": f"问题{n}", "input": "", "output": f"回答{n}"} for n in range(40)]


def lines(rows: list[Any]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def questions(ref: str, **options: Any) -> list[str]:
    return [row["messages"][0]["content"] for row in load_rows(ref, **options).rows]


@pytest.mark.parametrize(
    ("written", "ref"),
    [
        ("owner/name", Ref("owner/name")),
        ("owner/name:zh#500", Ref("owner/name", "zh", 500)),
        ("modelscope:owner/name:zh/en", Ref("owner/name", "zh/en", None, "modelscope")),
        ("MS::owner/name#5", Ref("owner/name", None, 5, "modelscope")),
        ("HF::owner/name", Ref("owner/name", None, None, "huggingface")),
        ("data/dataset_info.json:alpaca_zh_demo", Ref("data/dataset_info.json", "alpaca_zh_demo")),
        ("C:\\data\\rows.json", Ref("C:\\data\\rows.json")),
        ("rows.json#3", Ref("rows.json", None, 3)),
    ],
)
def test_a_written_name_falls_into_its_parts(written: str, ref: Ref) -> None:
    assert parse_ref(written) == ref


def test_what_is_there_under_the_whole_name_is_meant(write: Any) -> None:
    write("odd#3", lines(PAIRS[:2]))
    write("odd", lines(PAIRS))
    assert len(load_rows("odd#3").rows) == 2
    assert len(load_rows("odd#5").rows) == 5


def test_a_pattern_reads_its_files_in_order(write: Any) -> None:
    for name in ("b/2.jsonl", "b/10.jsonl", "a/1.jsonl"):
        write(f"raw/{name}", lines([{**PAIRS[0], "instruction": name}]))
    write("raw/a/note.md", "x")
    loaded = load_rows("raw/**/*.jsonl")
    files = [row["source"]["file"] for row in loaded.rows]
    assert files == ["a/1.jsonl", "b/10.jsonl", "b/2.jsonl"]
    assert [row["row_id"] for row in loaded.rows] == ["raw#1", "raw#2", "raw#3"]
    assert questions("raw/b/[0-9].jsonl") == ["b/2.jsonl"]
    with pytest.raises(MissingFile):
        load_rows("raw/*.parquet")


def test_files_of_other_parts_are_left_out_and_named(own_folder: Path, events: Any, write: Any) -> None:
    write("faq/train-1.jsonl", lines(PAIRS[:20]))
    write("faq/train-2.jsonl", lines(PAIRS[20:39]))
    write("faq/dev.jsonl", lines(PAIRS[39:]))
    assert len(load_rows("faq").rows) == 39
    assert questions("faq", part="validation") == ["问题39"]
    with pytest.raises(UnknownDataset):
        load_rows("faq", part="test")
    run_prepare(PrepareSpec(input="faq", output_dir="out"), own_folder, events)
    assert "DATA-151" in events.codes()


def test_runs_snapshots_and_records_in_a_folder_are_no_data(
    own_folder: Path, events: Any, write: Any
) -> None:
    write("faq/rows.jsonl", lines(PAIRS))
    write("faq/run/spec.json", {})
    write("faq/run/rows.jsonl", lines(PAIRS))
    write("faq/.hidden/rows.jsonl", lines(PAIRS))
    write("faq/license.txt", "…")
    write("faq/notes.txt", "…")
    run_prepare(PrepareSpec(input="faq", output_dir="faq/out"), own_folder, events)
    assert [file.label for file in find_place("faq").files] == ["rows.jsonl"]


def test_a_sample_is_as_long_as_asked_always_the_same_and_in_order(write: Any) -> None:
    path = str(write("rows.jsonl", lines([*PAIRS, {"instruction": "坏", "output": ""}])))
    first = load_rows(f"{path}#10")
    assert (len(first.rows), len(first.rejected), first.sources[0].rows) == (10, 1, 10)
    assert [row["row_id"] for row in first.rows] == [row["row_id"] for row in load_rows(f"{path}#10").rows]
    numbers = [row["source"]["line"] for row in first.rows]
    assert numbers == sorted(numbers) and numbers != list(range(1, 11))
    assert set(numbers) < {row["source"]["line"] for row in load_rows(f"{path}#20").rows}
    assert len(load_rows(f"{path}#999").rows) == 40
    assert len(load_rows("sample#3").rows) == 3


INFO = {
    "plain": {"file_name": "alpaca.json"},
    "named": {
        "file_name": "faq.jsonl",
        "columns": {
            "prompt": "ask",
            "query": "more",
            "response": "reply",
            "system": "sys",
            "history": "past",
        },
    },
    "chat": {
        "file_name": "chat.jsonl",
        "formatting": "sharegpt",
        "columns": {"messages": "talk", "tools": "functions"},
        "tags": {
            "role_tag": "who",
            "content_tag": "said",
            "user_tag": "kunde",
            "assistant_tag": "wir",
            "function_tag": "ruf",
            "observation_tag": "echo",
            "system_tag": "regel",
        },
    },
    "pairs": {
        "file_name": "pairs.json",
        "ranking": True,
        "columns": {"prompt": "ask", "chosen": "good", "rejected": "bad"},
    },
    "marked": {
        "file_name": "marked.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages", "kto_tag": "label"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "user_tag": "user",
            "assistant_tag": "assistant",
        },
    },
    "book": {"file_name": "book.txt", "columns": {"prompt": "text"}},
    "few": {"file_name": "alpaca.json", "num_samples": 3},
    "hub": {"hf_hub_url": "owner/name", "subset": "zh", "columns": {"prompt": "ask", "response": "reply"}},
    "absent": {"file_name": "absent.json"},
    "script": {"script_url": "run_me"},
    "strange": {"file_name": "alpaca.json", "formatting": "strange"},
}


@pytest.fixture
def info(write: Any) -> Path:
    write("data/alpaca.json", PAIRS)
    faq = {
        "ask": "问",
        "more": "细节",
        "reply": "答",
        "sys": "规则",
        "past": [["一", "二"]],
        "output": "不用",
    }
    write("data/faq.jsonl", lines([faq, {**faq, "reply": ""}]))
    talk = [
        {"who": "regel", "said": "规则"},
        {"who": "kunde", "said": "问"},
        {"who": "ruf", "said": '{"name": "f", "arguments": {}}'},
        {"who": "echo", "said": "1"},
        {"who": "wir", "said": "答"},
    ]
    bad = [*talk[:1], {"who": "kunde", "said": ""}, *talk[2:]]
    write(
        "data/chat.jsonl", lines([{"talk": turns, "functions": '[{"name": "f"}]'} for turns in (talk, bad)])
    )
    write("data/pairs.json", [{"ask": "问", "good": "好", "bad": "坏"}])
    turns = [{"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}]
    write("data/marked.json", [{"messages": turns, "label": False}])
    write("data/book.txt", "第一段\n\n第二段\n")
    return write("data/dataset_info.json", INFO)


def test_entries_of_llama_factory_are_read_as_they_are(info: Path) -> None:
    assert len(load_rows("data/dataset_info.json:plain").rows) == 40
    assert len(load_rows("data:plain").rows) == 40
    assert len(load_rows("plain").rows) == 40  # a name under data/, as LLaMA-Factory's own command has it
    assert load_rows("plain").rows[0]["row_id"] == "plain#1"
    assert len(load_rows("data:few").rows) == 3
    assert len(load_rows("data:plain#7").rows) == 7
    assert {"plain", "chat", "faq"} <= set(known_names())

    named = load_rows("named")
    roles = [(turn["role"], turn["content"]) for turn in named.rows[0]["messages"]]
    asked = [
        ("system", "规则"),
        ("user", "一"),
        ("assistant", "二"),
        ("user", "问\n细节"),
        ("assistant", "答"),
    ]
    assert roles == asked
    assert [(row.line, row.field, row.code) for row in named.rejected] == [(2, "reply", "DATA-105")]

    chat = load_rows("chat")
    assert [turn["role"] for turn in chat.rows[0]["messages"]] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert chat.rows[0]["tools"] and chat.rows[0]["messages"][2]["tool_calls"]
    assert [(row.field, row.code) for row in chat.rejected] == [("talk[1].said", "DATA-106")]

    pair = load_rows("pairs", stage="dpo").rows[0]
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == ("好", "坏")
    assert load_rows("marked", stage="kto").rows[0]["label"] is False
    assert [row["text"] for row in load_rows("book").rows] == ["第一段", "第二段"]


def test_entries_that_cannot_be_read_say_why(info: Path) -> None:
    for name, reason in (("absent", "absent.json"), ("script", "script"), ("strange", "strange")):
        with pytest.raises(UnusableEntry, match=reason):
            load_rows(f"data:{name}")
    with pytest.raises(UnknownSubset, match="`plain`"):
        load_rows("data:none")
    with pytest.raises(UnknownSubset, match="`plain`"):
        load_rows("data")
    with pytest.raises(OfflineHub, match="owner/name"):
        load_rows("hub")


def test_a_request_keeps_its_place_from_any_folder(write: Any, own_folder: Path) -> None:
    write("data/rows.jsonl", lines(PAIRS))
    for written in ("data/rows.jsonl#5", "data/*.jsonl", "data/rows.jsonl"):
        asked = with_absolute_paths(PrepareSpec(input=written))
        assert asked.input == str(own_folder / written)
    for written in ("owner/name:zh#5", "sample", "no/such.jsonl"):
        assert with_absolute_paths(PrepareSpec(input=written)).input == written


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "hub_home"
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_DATASETS_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("MODELSCOPE_CACHE", str(home / "ms"))
    return home


CARD = """---
configs:
- config_name: zh
  default: true
  data_files:
  - split: train
    path: data/zh-*
  - split: test
    path: data/held-zh.jsonl
- config_name: en
  data_files: data/en.jsonl
---
# A card
"""


def clone(folder: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text(CARD, encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(PAIRS[:5]), folder / "data/zh-00000-of-00002.parquet")
    pq.write_table(pa.Table.from_pylist(PAIRS[5:7]), folder / "data/zh-00001-of-00002.parquet")
    (folder / "data/held-zh.jsonl").write_text(lines(PAIRS[7:8]), encoding="utf-8")
    (folder / "data/en.jsonl").write_text(lines(PAIRS[8:9]), encoding="utf-8")


def test_a_cloned_repository_has_the_subsets_and_parts_of_its_card(tmp_path: Path) -> None:
    clone(tmp_path / "set")
    assert questions("set") == [f"问题{n}" for n in range(7)]
    assert load_rows("set").rows[6]["source"]["file"] == "data/zh-00001-of-00002.parquet"
    assert questions("set", part="test") == ["问题7"]
    assert questions("set:en") == ["问题8"]
    assert len(questions("set:zh/en")) == 8
    with pytest.raises(UnknownSubset, match="`zh`, `en`"):
        load_rows("set:fr")
    with pytest.raises(UnknownSubset, match="`train`, `test`"):
        load_rows("set", part="validation")


def test_hub_names_are_found_in_the_caches_and_nothing_is_fetched(hub: Path) -> None:
    for ref in ("owner/set", "owner/set:zh#5", "modelscope:owner/set", "hf:owner/set"):
        with pytest.raises(OfflineHub, match="owner/set"):
            load_rows(ref)
    repository = hub / "hub" / "datasets--owner--set"
    clone(repository / "snapshots" / "c0ffee")
    (repository / "refs").mkdir()
    (repository / "refs/main").write_text("c0ffee")
    assert len(questions("owner/set")) == 7
    assert load_rows("owner/set:en").rows[0]["row_id"] == "owner/set#1"
    assert len(questions("owner/set:zh#3")) == 3
    with pytest.raises(OfflineHub):
        load_rows("modelscope:owner/set")
    clone(hub / "ms/hub/datasets/owner/other___1")
    assert len(questions("modelscope:owner/other.1")) == 7
    assert len(questions("MS::owner/other.1:en")) == 1
    assert len(questions("owner/other.1")) == 7


def test_what_the_library_saved_is_read(tmp_path: Path, write: Any) -> None:
    datasets = pytest.importorskip("datasets")
    part = datasets.Dataset.from_list(PAIRS)
    part.shuffle(seed=1).select(range(20)).save_to_disk(str(tmp_path / "one"), num_shards=3)
    assert sorted(questions("one")) == sorted(part.shuffle(seed=1).select(range(20))["instruction"])
    both = datasets.DatasetDict({"train": part, "validation": part.select(range(2))})
    both.save_to_disk(str(tmp_path / "both"))
    assert questions("both") == part["instruction"]
    assert questions("both", part="validation") == ["问题0", "问题1"]
    with pytest.raises(UnknownSubset):
        load_rows("both", part="test")


def test_what_the_library_downloaded_before_is_read_through_it(hub: Path, tmp_path: Path, write: Any) -> None:
    """The library's own cache, as it lies after a download; the library itself finds and opens it."""
    datasets = pytest.importorskip("datasets")
    source = write("rows.jsonl", lines(PAIRS))
    made = datasets.load_dataset("json", data_files=str(source), cache_dir=str(tmp_path / "made"))
    (arrow,) = (Path(file["filename"]) for file in made["train"].cache_files)
    kept = hub / "datasets/owner___kept/zh/0.0.0" / ("0" * 40)
    kept.mkdir(parents=True)
    os.rename(arrow, kept / "kept-train.arrow")
    facts = json.loads((arrow.parent / "dataset_info.json").read_text())
    facts.update(builder_name="parquet", dataset_name="kept", config_name="zh")
    (kept / "dataset_info.json").write_text(json.dumps(facts))
    before = datasets.config.HF_DATASETS_CACHE
    datasets.config.HF_DATASETS_CACHE = hub / "datasets"
    try:
        loaded = load_rows("owner/kept:zh#10")
    finally:
        datasets.config.HF_DATASETS_CACHE = before
    assert len(loaded.rows) == 10
    assert loaded.sources[0].file == "owner/kept:zh/train/kept-train.arrow"
