"""The data of a training: the same examples made or found again, every lost row listed, memory and imports bounded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.split import Shares, split_rows
from mozhu.engine.data.token_cache import token_cache
from mozhu.engine.data.tokens import tokenize_rows
from mozhu.engine.training.data import training_data
from mozhu.engine.training.engine import TrainingData
from mozhu.engine.training.forecast import forecast
from mozhu.engine.training.preflight import preflight
from mozhu.engine.training.token_request import TokenRequest
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import find_model
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.errors import NoUsableRows, ParityBroken, TooManyLostRows
from mozhu.kernel.files import read_jsonl
from mozhu.kernel.machine import describe
from mozhu.kernel.texts import set_language


@pytest.fixture(autouse=True)
def english() -> Any:
    set_language("en")
    yield
    set_language(None)


def made(spec: Any, folder: Path, events: Any) -> TrainingData:
    found = find_model(spec.model)
    return training_data(spec, found, ModelFolder.open(found.base), folder, events)


def told(events: Any) -> list[dict[str, Any]]:
    """The findings, in their order."""
    return [event for event in events.all if event["kind"] == "finding"]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Forty rows, each with its own question; the seventh is broken, the ninth is long."""
    path = tmp_path / "faq.jsonl"
    lines = []
    for number in range(1, 41):
        answer = "很长的回答。" * (90 if number == 9 else 2)
        row = {"instruction": f"第 {number} 题？", "output": answer}
        lines.append(json.dumps(row if number != 7 else {"instruction": "没有回答"}, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_examples_are_those_of_the_rows_and_the_split(
    spec: Any, tiny: Path, tmp_path: Path, events: Any
) -> None:
    data = made(spec(), tmp_path / "run", events)
    split = split_rows(load_rows("sample").rows, Shares(0.9, 0.1, 0.0), seed=42)
    renderer = Renderer.from_folder(tiny)
    for part, wanted in ((data.train, split.train), (data.validation, split.validation)):
        assert list(part) == tokenize_rows(wanted, renderer, max_length=256).examples


@pytest.mark.parametrize("changes", [{}, {"token_cache": False}, {"validation_split": 0.0}])
def test_the_second_time_tells_and_gives_the_same(
    spec: Any, tmp_path: Path, rows: Path, events: Any, changes: dict[str, Any]
) -> None:
    asked = spec(dataset=str(rows), max_rejected_share=0.1, over_length="split", **changes)
    first = made(asked, tmp_path / "one", events)
    again = type(events)()
    second = made(asked, tmp_path / "two", again)
    assert list(second.train) == list(first.train) and list(second.validation) == list(first.validation)
    assert told(again) == told(events) and {"TRAIN-028", "DATA-127"} <= {one["code"] for one in told(again)}
    parity = [event["message"] for event in events.of("log") if "parity" in event["message"]]
    assert parity and ("token_cache" in changes or parity[0] in [e["message"] for e in again.of("log")])
    for name in ("rejected.jsonl", "over_length.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_every_lost_and_every_long_row_is_listed(spec: Any, tmp_path: Path, rows: Path, events: Any) -> None:
    made(spec(dataset=str(rows), max_rejected_share=0.1, over_length="reject"), tmp_path / "run", events)
    rejected = list(read_jsonl(tmp_path / "run" / "rejected.jsonl"))
    assert [
        (row["file"], row["line"], row["code"]) for row in sorted(rejected, key=lambda row: row["line"])
    ] == [
        ("faq.jsonl", 7, rejected[0]["code"]),
        ("faq.jsonl", 9, "DATA-125"),
    ]
    assert all(row["excerpt"] and row["fix"] and row["field"] for row in rejected)
    (long,) = read_jsonl(tmp_path / "run" / "over_length.jsonl")
    assert (long["line"], long["policy"], long["kept"]) == (9, "reject", 0)
    assert long["labels_lost"] == long["labels"] > 0 and long["tokens"] > 256
    made(spec(), tmp_path / "run", events)
    assert not (tmp_path / "run" / "rejected.jsonl").exists(), "a list that no longer holds goes"


def test_lost_rows_above_the_limit_stop_the_run_and_the_plan(
    spec: Any, tmp_path: Path, rows: Path, events: Any
) -> None:
    asked = spec(dataset=str(rows), over_length="reject")
    for _ in range(2):  # made, and found again
        with pytest.raises(TooManyLostRows) as caught:
            made(asked, tmp_path / "run", events)
        params = caught.value.params
        assert (params["count"], params["total"], params["share"], params["limit"]) == (
            2,
            40,
            "5.00%",
            "0.50%",
        )
        assert "DATA-125" in str(params["reasons"])
        assert (tmp_path / "run" / "rejected.jsonl").is_file()
    made(
        spec(dataset=str(rows), over_length="reject", max_rejected_share=params["enough"]),
        tmp_path / "r",
        events,
    )
    named = [one for one in preflight(asked, describe(), tmp_path / "run") if one.code == "TRAIN-008"]
    assert [(one.level, one.params["count"]) for one in named] == [("error", 2)], (
        "the tokens are there: all is known"
    )
    fresh = spec(dataset=str(rows), max_length=200)
    (named_before,) = [one for one in preflight(fresh, describe(), tmp_path / "x") if one.code == "TRAIN-008"]
    assert named_before.params["count"] == 1, "only what cannot be read is known before the tokens are made"


def test_whatever_decides_the_tokens_decides_the_key(
    spec: Any, tmp_path: Path, rows: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(**changes: Any) -> str:
        asked = spec(**{"dataset": str(rows), **changes})
        found = find_model(asked.model)
        return TokenRequest.of(asked, found.base, ModelFolder.open(found.base)).key()

    base = key()
    assert key() == base == key(learning_rate=1e-3) == key(lora_rank=2) == key(max_rejected_share=0.5)
    assert key(validation_split=0.0) == key(validation_split=0.0, seed=1)
    changed = [
        key(max_length=100),
        key(over_length="left"),
        key(train_on="last"),
        key(validation_split=0.2),
        key(seed=1),
        key(system="你是助手。"),
        key(columns="instruction=instruction,output=output"),
        key(val_dataset="sample"),
        key(accept="DATA-262"),
        key(dataset=f"{rows}#20"),
    ]
    set_language("zh")
    changed.append(key())
    set_language("en")
    rows.write_bytes(rows.read_bytes().replace("第 2 题".encode(), "第 3 题".encode()))
    changed.append(key())
    assert len({base, *changed}) == 1 + len(changed)


def test_a_changed_template_or_tokenizer_is_another_key(spec: Any, tiny: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)

    def key() -> str:
        return TokenRequest.of(spec(model=str(copy)), copy, ModelFolder.open(copy)).key()

    keys = [key()]
    for name in ("chat_template.jinja", "tokenizer.json"):
        if (copy / name).is_file():
            (copy / name).write_text((copy / name).read_text(encoding="utf-8") + "\n", encoding="utf-8")
            keys.append(key())
    assert len(keys) > 1 and len(set(keys)) == len(keys)


def test_damaged_tokens_are_made_anew(spec: Any, tmp_path: Path, events: Any) -> None:
    first = list(made(spec(), tmp_path / "run", events).train)
    (ids,) = token_cache().root.glob("*/ids.i32")
    ids.write_bytes(bytes(ids.stat().st_size))
    again = type(events)()
    assert list(made(spec(), tmp_path / "run", again).train) == first
    assert any("damaged" in event["message"] for event in again.of("log"))


def test_a_refused_parity_is_never_kept(spec: Any, tiny: Path, tmp_path: Path, events: Any) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    settings = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": 3}), encoding="utf-8")
    (copy / "config.json").write_text(json.dumps({**settings, "eos_token_id": 3}), encoding="utf-8")
    for _ in range(2):
        with pytest.raises(ParityBroken) as caught:
            made(spec(model=str(copy)), tmp_path / "run", events)
    codes = str(caught.value.params["codes"])
    assert list(made(spec(model=str(copy), accept=codes), tmp_path / "run", events).train)
    with pytest.raises(ParityBroken):
        made(spec(model=str(copy)), tmp_path / "run", events)


def test_a_stopped_build_leaves_nothing(
    spec: Any, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mozhu.engine.data.token_store import StoreWriter

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    for kept in (True, False):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(StoreWriter, "add", stop)
            made(spec(token_cache=kept), tmp_path / "run", events)
    assert not [path for path in token_cache().root.iterdir() if path.is_dir()]
    assert not list((tmp_path / "run").iterdir())


def test_validation_data_of_its_own_is_not_trained_on(
    spec: Any, tmp_path: Path, rows: Path, events: Any
) -> None:
    data = made(
        spec(dataset=str(rows), val_dataset="sample", max_rejected_share=0.1), tmp_path / "run", events
    )
    assert {example.row_id.split("#")[0] for example in data.train} == {"faq"}
    assert [example.row_id for example in data.validation] == [f"sample#{number}" for number in range(1, 11)]


def test_fields_under_names_of_their_own_train(spec: Any, tmp_path: Path, events: Any) -> None:
    path = tmp_path / "own.json"
    path.write_text(
        json.dumps([{"frage": f"问 {n}", "antwort": f"答 {n}"} for n in range(5)]), encoding="utf-8"
    )
    data = made(spec(dataset=str(path), columns="frage=instruction,antwort=output"), tmp_path / "run", events)
    assert len(data.train) + len(data.validation) == 5


def test_no_usable_row_is_said_with_its_reasons(spec: Any, tmp_path: Path, events: Any) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text('{"instruction": "a"}\n{"instruction": "b", "output": ""}\n', encoding="utf-8")
    with pytest.raises(NoUsableRows):
        made(spec(dataset=str(path)), tmp_path / "run", events)


def test_a_folder_that_cannot_be_written_costs_only_the_cache(
    spec: Any, tmp_path: Path, events: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MOZHU_TOKEN_CACHE", str(tmp_path / "file" / "cache"))
    data = made(spec(), tmp_path / "run", events)
    assert len(data.train) == 9
    del data
    assert not [path for path in (tmp_path / "run").iterdir() if path.is_dir()]


def test_the_forecast_takes_exact_lengths_where_tokens_are_kept(
    spec: Any, tmp_path: Path, events: Any
) -> None:
    asked = spec(validation_split=0.0)
    before = forecast(asked, describe())
    data = made(asked, tmp_path / "run", events)
    after = forecast(asked, describe())
    assert after.tokens_per_epoch == sum(len(example.ids) for example in data.train)
    assert before.tokens_per_epoch != after.tokens_per_epoch and before.rows == after.rows


def test_kept_tokens_need_neither_torch_nor_transformers(spec: Any, tmp_path: Path, events: Any) -> None:
    asked = spec()
    made(asked, tmp_path / "run", events)
    code = (
        "import sys; from pathlib import Path\n"
        "from mozhu.engine.training.data import training_data\n"
        "from mozhu.engine.weights.folder import ModelFolder\n"
        "from mozhu.engine.weights.references import find_model\n"
        "from mozhu.kernel.texts import set_language\n"
        "from mozhu.specs.train import TrainSpec\n"
        "set_language('en'); spec = TrainSpec.model_validate_json(sys.argv[1]); found = find_model(spec.model)\n"
        "place = Path(sys.argv[2])\n"
        "data = training_data(spec, found, ModelFolder.open(found.base), place, lambda kind, **fields: None)\n"
        "assert len(data.train[0].ids) > 1\n"
        "assert not {'torch', 'transformers', 'tokenizers', 'numpy'} & set(sys.modules)\n"
    )
    words = [sys.executable, "-c", code, asked.model_dump_json(), str(tmp_path / "again")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(spec: Any, tmp_path: Path) -> None:
    """Eight times the rows may not cost eight times the memory."""
    code = (
        "import sys; from pathlib import Path\n"
        "from mozhu.engine.training.data import training_data\n"
        "from mozhu.engine.weights.folder import ModelFolder\n"
        "from mozhu.engine.weights.references import find_model\n"
        "from mozhu.specs.train import TrainSpec\n"
        "spec = TrainSpec.model_validate_json(sys.argv[1]); found = find_model(spec.model)\n"
        "place = Path(sys.argv[2])\n"
        "data = training_data(spec, found, ModelFolder.open(found.base), place, lambda kind, **fields: None)\n"
        'status = open("/proc/self/status")\n'
        'print(next(line for line in status if line.startswith("VmHWM:")).split()[1])\n'
    )

    def peak_kib(count: int) -> int:
        path = tmp_path / f"rows{count}.jsonl"
        with open(path, "w", encoding="utf-8") as file:
            for number in range(count):
                row = {"instruction": f"question {number}", "output": f"answer {number} " * 20}
                file.write(json.dumps(row) + "\n")
        words = [sys.executable, "-c", code, spec(dataset=str(path)).model_dump_json(), str(tmp_path / "run")]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    small, large = peak_kib(2_000), peak_kib(16_000)
    assert large - small < 30_000, f"{small} KiB for 2,000 rows, {large} KiB for 16,000"
