"""Seed 004's data formats as printed, read and converted by the commands of a clone and of the wheel (A07 to A12, A17).

The converters are compared with the seed's own code, which is run beside them.
"""

# ruff: noqa: W293 (the printed code is kept to the letter)

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from items import BY_ID, TEXT_CSV, TEXT_JSON, command_of
from scratch import Done, Place

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "hub"))

from standin import Repository, StandIn, serving

from mozhu.kernel.files import read_jsonl

ALPACA = r"""[
  {
    "instruction": "解释量子力学的基本原理",
    "input": "",
    "output": "量子力学是物理学的一个基本理论，主要描述原子尺度及以下的物理现象..."
  }
]
"""
MESSAGES = r"""[
  {
    "messages": [
      {"role": "system", "content": "你是一个有用的AI助手。"},
      {"role": "user", "content": "什么是机器学习？"},
      {"role": "assistant", "content": "机器学习是人工智能的一个分支，它使计算机能够从数据中学习而无需显式编程..."}
    ]
  }
]
"""
ALPACA_TO_TEXT = r"""import json

def convert_to_text_format(input_file, output_file):
    with open(input_file, 'r', encoding='utf-8') as f:
        data = json.load(f)
    
    result = []
    for item in data:
        # 构建格式：指令 + 输入（如果有）+ 输出
        text = f"指令：{item['instruction']}\n"
        if item['input']:
            text += f"输入：{item['input']}\n"
        text += f"输出：{item['output']}"
        
        result.append({"text": text})
    
    with open(output_file, 'w', encoding='utf-8') as f:
        json.dump(result, f, ensure_ascii=False, indent=2)

# 使用示例
convert_to_text_format("alpaca_data.json", "training_data.json")
"""
MESSAGES_TO_TEXT = r"""import json

def convert_conversations(input_file, output_file):
    with open(input_file, 'r', encoding='utf-8') as f:
        data = json.load(f)
    
    result = []
    for item in data:
        conversation = ""
        for msg in item["messages"]:
            role = msg["role"]
            content = msg["content"]
            if role == "system":
                conversation += f"系统：{content}\n\n"
            elif role == "user":
                conversation += f"用户：{content}\n\n"
            elif role == "assistant":
                conversation += f"助手：{content}\n\n"
        
        result.append({"text": conversation.strip()})
    
    with open(output_file, 'w', encoding='utf-8') as f:
        json.dump(result, f, ensure_ascii=False, indent=2)

# 使用示例
convert_conversations("conversations.json", "training_data.json")
"""
# Rows that show every branch of the printed code, and what JSON may hold.
ALPACA_ROWS = [
    *json.loads(ALPACA),
    {"instruction": "翻译", "input": "“你好”, \\ 与\t制表符", "output": "Hello\nworld 😀"},
    {"instruction": "", "input": "只有输入", "output": ""},
]
MESSAGES_ROWS = [
    *json.loads(MESSAGES),
    {
        "messages": [
            {"role": "user", "content": "  前后有空白  "},
            {"role": "assistant", "content": "第一行\n\n第三行"},
            {"role": "tool", "content": "不写出"},
            {"role": "user", "content": "再问"},
            {"role": "assistant", "content": "再答\n"},
        ]
    },
    {"messages": []},
]
KINDS = [pytest.param("clone"), pytest.param("wheel", marks=pytest.mark.slow)]
PREPARE = "python finetune/prepare_data.py --input {0} --output-dir {1} --output-name x --quiet"


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A copy of the workspace, so that its settings may be changed."""
    made: Place = request.getfixturevalue(request.param)
    (tmp_path / "place").mkdir()
    left_out = shutil.ignore_patterns("6_output", "models", "merged_model", "lora_output", "data")
    shutil.copytree(made.root, tmp_path / "place" / "workspace", ignore=left_out, symlinks=True)
    return Place(made.kind, tmp_path / "place" / "workspace", made.programs)


def prepared(place: Place, name: str, flags: str = "") -> list[dict[str, Any]]:
    """The rows that ``prepare_data.py`` makes of the file ``name``, in their order there; none is rejected."""
    target = f"out/{name.replace('.', '_')}"
    done = place.run(f"{PREPARE.format(name, target)} {flags}")
    assert done.code == 0, done.said
    assert list(read_jsonl(place.path(target) / "rejected.jsonl")) == []
    parts = [
        list(read_jsonl(place.path(target) / f"x_{part}.jsonl")) for part in ("train", "validation", "test")
    ]
    return sorted(sum(parts, []), key=lambda row: (row["source"]["file"], row["source"]["line"]))


def test_a07_json_with_text_is_read_under_its_own_or_another_name(place: Place) -> None:
    place.write("rows.json", TEXT_JSON)
    texts = [row["text"] for row in json.loads(TEXT_JSON)]
    assert [row["text"] for row in prepared(place, "rows.json", "--text-column text")] == texts
    place.write("body.json", TEXT_JSON.replace('"text"', '"body"'))
    assert [row["text"] for row in prepared(place, "body.json", "--text-column body")] == texts


def test_a08_csv_with_commas_newlines_marks_and_other_encodings(place: Place) -> None:
    first, second = TEXT_CSV.splitlines()[1:]
    odd = ['一,二，三"四"', "第一行\n第二行\r\n第三行", "'单引号'; 分号\t制表符"]
    cells = "".join('"' + cell.replace('"', '""') + '"\n' for cell in odd)
    content = TEXT_CSV + cells
    wanted = [first.strip('"'), second.strip('"'), *odd]
    place.path("tables").mkdir()
    for name, encoding in (("plain", "utf-8"), ("bom", "utf-8-sig"), ("gbk", "gbk"), ("wide", "utf-16")):
        place.path(f"tables/{name}.csv").write_bytes(content.encode(encoding))
    found = prepared(place, "tables", "--text-column text")
    for name in ("plain", "bom", "gbk", "wide"):
        texts = [row["text"] for row in found if row["source"]["file"] == f"{name}.csv"]
        assert [text.replace("\r\n", "\n") for text in texts] == [
            text.replace("\r\n", "\n") for text in wanted
        ], name


def test_a09_alpaca_is_read_as_it_is_and_an_empty_input_leaves_no_trace(place: Place) -> None:
    place.write("alpaca.json", ALPACA)
    (row,) = prepared(place, "alpaca.json")
    (given,) = json.loads(ALPACA)
    assert row["messages"] == [
        {"role": "user", "content": given["instruction"]},
        {"role": "assistant", "content": given["output"]},
    ]


def test_a10_conversations_keep_their_system_message_and_teach_only_the_answers(place: Place) -> None:
    given = json.loads(MESSAGES)
    given[0]["messages"] += [
        {"role": "user", "content": "举个例子。"},
        {"role": "assistant", "content": "比如识别垃圾邮件。"},
    ]
    place.write("one.json", MESSAGES)
    place.write("more.json", json.dumps(given, ensure_ascii=False))
    assert [row["messages"] for row in prepared(place, "one.json")] == [json.loads(MESSAGES)[0]["messages"]]
    assert [row["messages"] for row in prepared(place, "more.json")] == [given[0]["messages"]]
    done = place.run("python 4_scripts/main.py data preview --model starter --dataset more.json --json")
    assert done.code == 0, done.said
    tokens = [token for part in json.loads(done.out)["rows"][0]["examples"] for token in part["tokens"]]
    learned = "".join(token["text"] for token in tokens if token["trained"])
    answers = [message["content"] for message in given[0]["messages"] if message["role"] == "assistant"]
    assert all(answer in learned for answer in answers)
    others = [message["content"] for message in given[0]["messages"] if message["role"] != "assistant"]
    assert not any(other in learned for other in others)
    assert len(learned.replace("<|im_end|>", "").strip()) <= sum(map(len, answers)) + 2


def test_a10_sharegpt_is_the_same_conversation(place: Place) -> None:
    turns = json.loads(MESSAGES)[0]["messages"]
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    rows = [{"conversations": [{"from": names[turn["role"]], "value": turn["content"]} for turn in turns]}]
    place.write("shared.json", json.dumps(rows, ensure_ascii=False))
    assert [row["messages"] for row in prepared(place, "shared.json")] == [turns]


@pytest.mark.parametrize(
    ("name", "code", "source", "rows"),
    [
        ("convert_to_text_format", ALPACA_TO_TEXT, "alpaca_data.json", ALPACA_ROWS),
        ("convert_conversations", MESSAGES_TO_TEXT, "conversations.json", MESSAGES_ROWS),
    ],
    ids=["A11", "A12"],
)
def test_a11_a12_the_converters_write_the_bytes_of_the_printed_code(
    name: str, code: str, source: str, rows: list[Any], place: Place
) -> None:
    """From ``mozhu``, from the workspace's ``1_utils``, and the printed call itself."""
    place.write(source, json.dumps(rows, ensure_ascii=False))
    place.write("printed.py", code)
    assert place.run("python printed.py").code == 0
    wanted = place.path("training_data.json").read_bytes()
    assert len(json.loads(wanted)) == len(rows)
    call = code.strip().splitlines()[-1]
    assert call == f'{name}("{source}", "training_data.json")'
    for folder, module in ((".", "mozhu"), ("1_utils", "data_formats")):
        place.path("training_data.json").unlink()
        place.write("ours.py", f"from {module} import {name}\n{call}\n")
        done = place.run(f"PYTHONPATH={folder} python ours.py")
        assert done.code == 0, done.said
        assert place.path("training_data.json").read_bytes() == wanted, module


def hub_command(place: Place, before: str = "") -> Done:
    return place.run(before + command_of(BY_ID["A17"], place), folder=BY_ID["A17"].folder)


def check_trained(place: Place, done: Done) -> None:
    assert done.code == 0, done.said
    folder = place.path("LLM/lora/lora_output")
    assert (folder / "lora_adapter/adapter_model.safetensors").stat().st_size > 0
    names = {str(row) for event in read_jsonl(folder / "events.jsonl") for row in event.get("rows", ())}
    assert names and all("dataset_name" in row for row in names), names


def settings(place: Place, **changed: object) -> None:
    path = place.path("0_configs/1_model_config.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changed}, ensure_ascii=False), encoding="utf-8")


@pytest.fixture
def hub() -> Iterator[StandIn]:
    standin = StandIn({"dataset_owner/dataset_name": Repository({"train.json": TEXT_JSON.encode()})})
    with serving(standin):
        yield standin
    assert standin.unknown == []


@pytest.mark.slow
def test_a17_a_hub_id_with_a_local_place_is_trained_on_offline(place: Place) -> None:
    place.write("mirror.json", TEXT_JSON)
    settings(place, datasets={"dataset_owner/dataset_name": {"path": "mirror.json"}})
    check_trained(place, hub_command(place))


@pytest.mark.slow
def test_a17_a_hub_id_is_fetched_where_that_is_allowed(place: Place, hub: StandIn) -> None:
    refused = hub_command(place, f"HF_ENDPOINT={hub.address} ")
    assert refused.code == 4 and "ENV-003" in refused.err and hub.asked == []
    settings(place, hub="huggingface")
    check_trained(place, hub_command(place, f"HF_ENDPOINT={hub.address} HF_HOME={place.path('hf')} "))
    assert len(hub.downloads()) == 1
