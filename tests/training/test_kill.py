"""A run may be killed at any moment, also inside a write: started again it ends with the very same weights, its log
tells every step once, and nothing half-written is left.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from killing import Ended, Kill, Warm, warm_process

from mozhu.engine.training.checkpoints import checkpoint_damage, last_checkpoint
from mozhu.engine.training.retold import TellOnce
from mozhu.kernel.files import read_jsonl
from mozhu.specs.records.result import Result
from mozhu.specs.train import TrainSpec
from mozhu.workspace.runs import make_run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and kills as Linux does")

# Dropout, so that chance counts; three shuffled epochs; steps of two batches; a checkpoint inside an epoch.
SPEC: dict[str, Any] = {
    "num_train_epochs": 3,
    "batch_size": 2,
    "gradient_accumulation_steps": 2,
    "learning_rate": 5e-3,
    "lora_rank": 4,
    "lora_dropout": 0.2,
    "max_length": 256,
    "threads": 1,
    "save_steps": 2,
    "eval_steps": 3,
}
KINDS: dict[str, dict[str, Any]] = {
    "flat": {"save_total_limit": 1},
    "padded": {"packing": False, "save_total_limit": 1},
    "dpo": {"stage": "dpo", "dataset": "pairs.json", "save_total_limit": 2},
    "kto": {"stage": "kto", "dataset": "marked.json", "save_total_limit": 1},
    "full": {"train_type": "full", "learning_rate": 1e-3, "save_total_limit": 2},
    "masters": {
        "train_type": "full",
        "dtype": "bfloat16",
        "learning_rate": 1e-4,
        "save_total_limit": 1,
    },
    "noise": {"neftune_noise_alpha": 5.0, "save_total_limit": 1},
    "rm": {"stage": "rm", "dataset": "pairs.json", "save_total_limit": 1},
    "pissa": {"lora_init": "pissa", "save_total_limit": 1},
    "best": {
        "keep_best": True,
        "eval_samples": 2,
        "early_stopping": 3,
        "early_stopping_delta": 0.01,
        "save_total_limit": 1,
    },
    "seldom told": {"logging_steps": 3, "packing": False, "save_total_limit": 2},
}
PAIRS = [
    {
        "messages": [{"role": "user", "content": f"第{number}个问题"}],
        "chosen": [{"role": "assistant", "content": f"好的回答，数字是{number}。"}],
        "rejected": [{"role": "assistant", "content": f"不知道{number}"}],
    }
    for number in range(12)
]
MARKED = [
    {"prompt": f"第{n}个问题", "completion": f"回答{n}" if n % 2 else "不知道", "label": bool(n % 2)}
    for n in range(12)
]


class Place:
    """Runs of one tiny model, each kind once without a stop."""

    def __init__(self, root: Path, tiny: Path, warm: Warm) -> None:
        self.root, self.warm, self._tiny = root, warm, tiny
        self._whole: dict[str, Ended] = {}
        for name, rows in (("pairs.json", PAIRS), ("marked.json", MARKED)):
            (root / name).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")

    def new(self, kind: str, name: str) -> Path:
        fields = {"dataset": "sample", **SPEC, **KINDS[kind], "model": str(self._tiny)}
        if fields["dataset"] != "sample":
            fields["dataset"] = str(self.root / fields["dataset"])
        folder = self.root / kind.replace(" ", "-") / name
        shutil.rmtree(folder, ignore_errors=True)
        make_run(TrainSpec(**fields), {}, folder)
        return folder

    def run(self, folder: Path, kill: Kill | None = None) -> Ended:
        return self.warm.run(["run", str(folder), "--quiet"], folder, kill)

    def finish(self, folder: Path) -> None:
        ended = self.run(folder)
        assert ended.code == 0, Path(f"{folder}.log").read_text(encoding="utf-8")

    def whole(self, kind: str) -> tuple[Path, list[str]]:
        """The run that was never stopped, and its moments."""
        folder = self.root / kind.replace(" ", "-") / "whole"
        if kind not in self._whole:
            self._whole[kind] = self.run(self.new(kind, "whole"))
            assert self._whole[kind].code == 0, Path(f"{folder}.log").read_text(encoding="utf-8")
        return folder, self._whole[kind].moments


@pytest.fixture(scope="module")
def place(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("kills")
    with warm_process(root / "workspace") as warm:
        yield Place(root, tiny, warm)


def hashes(folder: Path) -> dict[str, str]:
    """The hash of every weight file of what a run made."""
    found = [path for name in ("lora_adapter", "model") for path in folder.glob(f"{name}/*.safetensors")]
    assert found
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


# What differs from start to start: the machine's speed, its memory, the moment.
_OF_THE_MOMENT = {"seq", "t", "tokens_per_s", "memory_bytes", "eta_s"}


def story(folder: Path) -> list[dict[str, Any]]:
    """Every step, evaluation, sample and checkpoint as the log tells it; its numbers have no gap."""
    events = list(read_jsonl(folder / "events.jsonl"))
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["kind"] == "start" and events[-1]["kind"] == "done"
    told = [event for event in events if event["kind"] in {"step", "eval", "sample", "checkpoint"}]
    kept = [{name: value for name, value in event.items() if name not in _OF_THE_MOMENT} for event in told]
    return sorted(kept, key=lambda event: (event["kind"], event["step"], event.get("row_id", "")))


def check_same(folder: Path, whole: Path) -> None:
    assert hashes(folder) == hashes(whole)
    assert story(folder) == story(whole)
    assert Result.read(folder / "result.json").state == "succeeded"
    hidden = [path.name for path in folder.iterdir() if path.name.startswith(".") and path.name != ".lock"]
    assert hidden == [], "nothing half-written is left"
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in whole.iterdir())
    for path in folder.glob("checkpoint-*[0-9]"):
        assert checkpoint_damage(path) == []


def moment_of(moments: list[str], what: str, number: int = 1) -> int:
    """The moment (counted from 1) of the ``number``-th change that holds ``what``."""
    return [place for place, moment in enumerate(moments, start=1) if what in moment][number - 1]


# A change of the run folder: in the first checkpoint's write, while an older one is removed, in the artefact's write.
INSIDE = [("open /checkpoint-4/trainer_state.json", 0.0), ("os.remove optimizer.pt", 0.0), (".new/", 0.002)]


@pytest.mark.parametrize(("what", "later_s"), INSIDE)
def test_a_kill_inside_a_write_changes_nothing(what: str, later_s: float, place: Place) -> None:
    whole, moments = place.whole("flat")
    folder = place.new("flat", "cut")
    assert place.run(folder, Kill(moment_of(moments, what), later_s)).killed
    place.finish(folder)
    check_same(folder, whole)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_random_kills_change_nothing(number: int, place: Place) -> None:
    """Each kind in turn; some runs are killed three times, and some inside what a moment began."""
    chance = random.Random(number)
    kind = list(KINDS)[number % len(KINDS)]
    whole, moments = place.whole(kind)
    folder = place.new(kind, f"cut-{number}")
    killed = 0
    for _ in range(chance.choice([1, 1, 3])):
        later_s = chance.choice([0.0, chance.random() * 0.01, chance.random() * 0.1])
        killed += place.run(folder, Kill(chance.randint(1, len(moments) - 1), later_s)).killed
    assert killed
    place.finish(folder)
    check_same(folder, whole)


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.7])
def test_a_kill_at_any_second_changes_nothing(after_s: float, place: Place) -> None:
    whole, _ = place.whole("flat")
    folder = place.new("flat", "timed")
    place.run(folder, Kill(after_s=after_s))
    place.finish(folder)
    check_same(folder, whole)


@pytest.mark.parametrize("what", ["os.remove optimizer.pt", "open /checkpoint-4/README.md"])
def test_two_signals_stop_at_once_and_lose_nothing(what: str, place: Place) -> None:
    """As two quick Ctrl-C: no step is finished for it, no checkpoint is begun, and the run goes on when asked."""
    whole, moments = place.whole("flat")
    folder = place.new("flat", "twice")
    twice = (int(signal.SIGINT), int(signal.SIGINT))
    assert place.run(folder, Kill(moment_of(moments, what), signals=twice)).code == 130
    assert Result.read(folder / "result.json").state == "cancelled"
    last = last_checkpoint(folder)
    assert last is not None and checkpoint_damage(last) == []
    assert [path.name for path in folder.glob("checkpoint-*") if not (path / ".complete").exists()] == []
    place.finish(folder)
    check_same(folder, whole)


def test_one_signal_saves_the_step_and_the_run_goes_on_from_it(place: Place) -> None:
    whole, moments = place.whole("flat")
    folder = place.new("flat", "once")
    once = Kill(moment_of(moments, "open /training.log", 8), signals=(int(signal.SIGTERM),))
    assert place.run(folder, once).code == 130
    last = last_checkpoint(folder)
    steps = [event["step"] for event in read_jsonl(folder / "events.jsonl") if event["kind"] == "step"]
    assert last is not None and last.name == f"checkpoint-{steps[-1]}"
    place.finish(folder)
    assert hashes(folder) == hashes(whole)
    told = [event["step"] for event in read_jsonl(folder / "events.jsonl") if event["kind"] == "step"]
    assert told == list(range(1, 10))
    assert not [
        event
        for event in read_jsonl(folder / "events.jsonl")
        if event["kind"] == "again" and event["of"] == "step"
    ]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(("name", "damage"), [("optimizer.pt", _cut), ("pace.json", _remove)])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    name: str, damage: Any, place: Place
) -> None:
    whole, moments = place.whole("dpo")
    folder = place.new("dpo", "damaged")
    assert place.run(folder, Kill(moment_of(moments, "/checkpoint-8"))).killed
    damage(folder / "checkpoint-6" / name)
    place.finish(folder)
    findings = [event for event in read_jsonl(folder / "events.jsonl") if event["kind"] == "finding"]
    told = [event["params"] for event in findings if event["code"] == "TRAIN-090"]
    assert [one["files"] for one in told] == [[name]]
    check_same(folder, whole)


def test_a_log_cut_in_a_line_and_a_folder_that_moved_go_on(place: Place) -> None:
    whole, moments = place.whole("flat")
    folder = place.new("flat", "stays")
    assert place.run(folder, Kill(moment_of(moments, "open /checkpoint-6/trainer_state.json"))).killed
    _cut(folder / "events.jsonl")
    moved = folder.rename(folder.parent / "moved")
    place.finish(moved)
    check_same(moved, whole)


def test_a_damaged_log_is_named_with_its_line(place: Place) -> None:
    _, moments = place.whole("flat")
    folder = place.new("flat", "scribbled")
    assert place.run(folder, Kill(moment_of(moments, "open /checkpoint-6/trainer_state.json"))).killed
    log = folder / "events.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines(keepends=True)
    log.write_text("".join([*lines[:2], "scribble\n", *lines[2:]]), encoding="utf-8")
    assert place.run(folder).code == 3
    said = Path(f"{folder}.log").read_text(encoding="utf-8")
    assert "FILE-004" in said and "line 3" in said and "BUG-" not in said


def test_an_event_is_told_once_and_its_repetition_as_such(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    log = tmp_path / "events.jsonl"
    lines = [{"kind": "step", "step": 3, "loss": 2.0}, {"kind": "eval", "step": 3}, {"kind": "log"}]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    once = TellOnce(lambda kind, **fields: told.append((kind, fields)), log)
    once.emit("step", step=3, loss=2.0)
    once.emit("step", step=4, loss=1.9)
    once.emit("eval", step=4)
    once.emit("eval", step=4)
    once.emit("log", message="m")
    once.emit("sample", step=4, row_id="a")
    once.emit("sample", step=4, row_id="b")
    assert [kind for kind, _ in told] == ["again", "step", "eval", "again", "log", "sample", "sample"]
    assert told[0][1] == {"of": "step", "step": 3, "loss": 2.0}
