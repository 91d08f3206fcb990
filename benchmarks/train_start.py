"""From the command to the first step: ``mozhu train`` against a script that imports the libraries and loads the model.

The peer imports torch, transformers' Trainer and peft and loads the same model in the same number type, and nothing
else: no checks, no rows, no proof that training and inference read the same tokens, no fingerprint of the base. Told
is wall time until the Trainer begins its first step, and the CPU seconds of the command and of its run until then;
what works beside something else costs CPU seconds and no wall time. An extension of the workspace notes the moment.
Rows are read anew: the token cache is empty. The bar is on the wall time where two cores are free; on a busy machine
the CPU seconds are what to look at.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.harness import Sample, alternate
from benchmarks.peers.material import rows_of_demo_lengths, write_rows
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from benchmarks.train_speed import SHAPE

_ROWS, _BAR = 64, 1.2
_OURS, _BARE = "mozhu train", "imports and loading"
_LOOK_S, _LIMIT_S = 0.02, 600
_MARK = """
import json, os, time
from mozhu.kernel import slots

class Watched:
    def __new__(cls):
        from mozhu.engine.training.engines.hf import HfEngine
        from transformers import TrainerCallback, trainer

        class Mark(TrainerCallback):
            def on_step_begin(self, args, state, control, **options):
                if state.global_step == 0:
                    told = {"at": time.monotonic(), "cpu_s": time.process_time()}
                    with open(MARK + ".part", "w") as file:
                        json.dump(told, file)
                    os.replace(MARK + ".part", MARK)

        trainer.DEFAULT_CALLBACKS.append(Mark)
        return HfEngine()

slots.register("mozhu.training_engines", "hf", Watched)
"""
_SCRIPT = """
import sys, time
import torch, transformers, peft
from transformers import AutoModelForCausalLM, Trainer
AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=getattr(torch, sys.argv[2]), local_files_only=True)
"""


def measure(work: Path, size: Size) -> list[Comparison]:
    shape = {**SHAPE, **size["shape"]}
    material = write_rows(work / "material", rows_of_demo_lengths(_ROWS), shape)
    peers = {_OURS: _mozhu(work, material.model, material.alpaca), _BARE: _bare(material.model)}
    for run in peers.values():  # once unmeasured: byte code is written, files are in memory
        run()
    measured = alternate(peers, size["rounds"])
    share = (measured[_OURS].figure("wall_s") or 0.0) / (measured[_BARE].figure("wall_s") or 1.0)
    limits = [Limit(f"{_OURS} : {_BARE}", round(share, 3), _BAR, "of its wall time")]
    return [
        Comparison(
            f"start of a training, Qwen2 with {shape['num_hidden_layers']} layers, float32",
            measured,
            against=[(_OURS, _BARE)],
            limits=limits if size["bars"] else [],
        )
    ]


def _mozhu(work: Path, model: Path, rows: Path) -> Callable[[], Sample]:
    home = work / "workspace"

    def run() -> Sample:
        shutil.rmtree(home, ignore_errors=True)
        mark = home / "mark.json"
        (home / "2_core").mkdir(parents=True)
        (home / "2_core" / "mark.py").write_text(f"MARK = {str(mark)!r}\n{_MARK}", encoding="utf-8")
        asked = ["--model", str(model), "--dataset", str(rows), "--max_steps", "1", "--batch_size", "1"]
        more = ["--validation_split", "0", "--dtype", "float32", "--device", "cpu", "--threads", "1"]
        places = {"MOZHU_WORKSPACE": str(home), "MOZHU_TOKEN_CACHE": str(home / "tokens")}
        started = time.monotonic()
        process = psutil.Popen(
            [sys.executable, "-m", "mozhu", "train", *asked, *more],
            cwd=home,
            env={**os.environ, **places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return _first_step(process, mark, started)

    return run


def _first_step(process: psutil.Popen, mark: Path, started: float) -> Sample:
    """The sample once ``mark`` is there; what goes on after that is stopped.

    Raises:
        RuntimeError: The command ended without a step.
    """
    try:
        while not mark.is_file():
            if process.poll() is not None or time.monotonic() - started > _LIMIT_S:
                raise RuntimeError(f"mozhu train ended with {process.poll()} and made no step")
            time.sleep(_LOOK_S)
        own = process.cpu_times()
        told = json.loads(mark.read_text(encoding="utf-8"))
        return Sample(told["at"] - started, told["cpu_s"] + own.user + own.system)
    finally:
        for one in [*process.children(recursive=True), process]:
            one.kill()
        process.wait()


def _bare(model: Path) -> Callable[[], Sample]:
    def run() -> Sample:
        started, cpu = time.monotonic(), _children_cpu_s()
        subprocess.run(
            [sys.executable, "-c", _SCRIPT, str(model), "float32"], check=True, capture_output=True
        )
        return Sample(time.monotonic() - started, _children_cpu_s() - cpu)

    return run


def _children_cpu_s() -> float:
    told = os.times()
    return told.children_user + told.children_system
