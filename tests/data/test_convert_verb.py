"""``data convert``: every shape into every form that can hold it, and back; what cannot be held is said."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mozhu.engine.data.convert import convert_conversations, convert_to_text_format, run_convert
from mozhu.engine.data.dataset import load_rows
from mozhu.kernel.errors import BadDataTarget, NoUsableRows, TargetExists, UnconvertibleRows
from mozhu.kernel.files import read_jsonl
from mozhu.specs.data import DataConvertSpec

ROOT = Path(__file__).resolve().parents[2]
Q, A = {"role": "user", "content": "问"}, {"role": "assistant", "content": "答"}


def silent(kind: str, /, **fields: Any) -> None:
    pass


def convert(source: Path, to: str, output: str, **fields: Any) -> Path:
    run_convert(DataConvertSpec(input=str(source), to=to, output=output, **fields), source.parent, silent)  # type: ignore[arg-type]
    return Path(output)


_SAID = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), min_size=1
).filter(lambda said: said.strip() == said and "<image>" not in said)
_ROUNDS = st.lists(st.tuples(_SAID, _SAID), min_size=1, max_size=3)


@given(
    conversations=st.lists(st.tuples(st.none() | _SAID, _ROUNDS), min_size=1, max_size=4),
    to=st.sampled_from(["messages", "alpaca", "sharegpt", "prompt"]),
    ending=st.sampled_from([".json", ".jsonl", ".csv", ".tsv", ".jsonl.gz", ".csv.gz"]),
)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_conversations_survive_every_form_and_file(
    tmp_path_factory: pytest.TempPathFactory, conversations: list[Any], to: str, ending: str
) -> None:
    folder = tmp_path_factory.mktemp("forms")
    rows = []
    for system, rounds in conversations:
        turns = [{"role": "system", "content": system}] if system else []
        for question, answer in rounds:
            turns += [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        rows.append({"messages": turns})
    source = folder / "rows.json"
    source.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    output = convert(source, to, str(folder / f"out{ending}"))
    back = load_rows(str(output), format_type=to)
    assert [row["messages"] for row in back.rows] == [row["messages"] for row in rows]


def test_text_is_the_seeds_for_its_two_formats(write: Any, tmp_path: Path) -> None:
    alpaca = write("alpaca.json", [{"instruction": "译", "input": "hi", "output": "你好"}] * 2)
    convert_to_text_format(alpaca, tmp_path / "seed.json")
    assert convert(alpaca, "text", "ours.json").read_bytes() == (tmp_path / "seed.json").read_bytes()
    chats = write("chats.json", [{"messages": [{"role": "system", "content": "s"}, Q, A, Q, A]}])
    convert_conversations(chats, tmp_path / "seed.json")
    assert convert(chats, "text", "ours.json").read_bytes() == (tmp_path / "seed.json").read_bytes()


def test_tool_conversations_keep_everything_or_are_refused(write: Any) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": {"城市": "北京"}}}
    turns = [Q, {"role": "assistant", "content": "", "tool_calls": [call, call]}]
    turns += [{"role": "tool", "content": "1"}, {"role": "tool", "content": "2"}, A]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    source = write("rows.json", [{"messages": turns, "tools": tools}])
    for to in ("messages", "sharegpt", "prompt"):
        for ending in (".json", ".csv"):
            back = load_rows(str(convert(source, to, f"{to}{ending}"))).rows[0]
            assert (back["messages"], back["tools"]) == (turns, tools), (to, ending)
    for to in ("text", "alpaca"):
        with pytest.raises(NoUsableRows, match="DATA-146"):
            convert(source, to, "out.json")
        assert not Path("out.json").exists()


def test_other_kinds_give_their_wanted_answer(write: Any) -> None:
    pair = write("pair.json", [{"prompt": "问", "chosen": "答", "rejected": "坏"}])
    label = write("label.json", [{"text": "问", "label": "答"}])
    marked = write(
        "kto.json", [{"prompt": "问", "completion": "答", "label": mark} for mark in (True, False)]
    )
    for source in (pair, label):
        assert load_rows(str(convert(source, "messages", "out.jsonl"))).rows[0]["messages"] == [Q, A]
    with pytest.raises(UnconvertibleRows, match="DATA-147"):
        convert(marked, "messages", "marked.jsonl")
    assert not Path("marked.jsonl").exists() and not list(Path().glob("*rejected*"))
    output = convert(marked, "messages", "marked.jsonl", max_rejected_share=0.5)
    assert len(load_rows(str(output)).rows) == 1
    (left_out,) = read_jsonl("marked.jsonl.rejected.jsonl")
    assert (left_out["code"], left_out["file"]) == ("DATA-147", "kto.json")


def test_the_file_name_tells_the_format(write: Any) -> None:
    source = write("rows.json", [{"prompt": "问", "completion": "答"}])
    packed = convert(source, "prompt", "out.csv.gz")
    assert gzip.decompress(packed.read_bytes()).decode().startswith("prompt,completion,tools,images\n问,答,")
    assert packed.read_bytes() == convert(source, "prompt", "out.csv.gz").read_bytes()
    for name in ("out.parquet", "out", "out.jsonl.zst"):
        with pytest.raises(BadDataTarget, match="jsonl"):
            convert(source, "prompt", name)
    with pytest.raises(TargetExists):
        convert(source, "messages", str(source))
    assert load_rows(str(source)).rows


def test_the_workspace_and_the_command_have_it(write: Any, tmp_path: Path) -> None:
    source = write("alpaca.json", [{"instruction": "译", "input": "", "output": "你好"}])
    script = "from data_formats import convert_to_text_format as c; c('alpaca.json', 'a.json')"
    path = f"{ROOT / '1_utils'}:{ROOT / 'src'}"
    subprocess.run([sys.executable, "-c", script], check=True, env={"PYTHONPATH": path})
    convert_to_text_format(source, "b.json")
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes()
    command = [
        sys.executable,
        "-m",
        "mozhu.cli.main",
        "data",
        "convert",
        "--input",
        "alpaca.json",
        "--to",
        "text",
    ]
    done = subprocess.run(
        [*command, "--output", "c.json"], env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Path("c.json").read_bytes() == Path("b.json").read_bytes()
    done = subprocess.run(
        [*command, "--output", "c.bin"], env={"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 2 and "DATA-015" in done.stderr + done.stdout
