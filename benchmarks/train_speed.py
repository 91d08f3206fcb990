"""How fast LoRA training is: real tokens a CPU second, and the most memory, against three trainers at their defaults.

Peers: LLaMA-Factory 0.9.5 and ms-swift 4.6, each in an environment of its own (``python -m
benchmarks.peers.environments``), and TRL with packing, with and without the gradient checkpointing that is its
default; one that is not there is left out and the record says so. All sides get the same model (Qwen2.5-0.5B's
shape, random weights, bf16), the same Chinese rows (as long as those of ``alpaca_zh_demo``), LoRA r=8 on the seven
kinds of linear layers, batches of four rows, one thread; each trains through its own trainer. ``products`` is no
trainer: the matrix products of such a step alone, with the same PyTorch, which no trainer on it can be faster than.

A run is a new process; the first step warms up and is not counted, nor are loading and saving. Padding is no
token. Rounds differ in the seed, so in which rows meet in a batch. Wall time, CPU seconds and ratios are those of
a thousand real tokens; memory is the whole process's.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Measured, Sample, alternate
from benchmarks.peers.environments import TRAINERS, python_of
from benchmarks.peers.material import Material, rows_of_demo_lengths, write_rows
from benchmarks.peers.process import drive
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from mozhu.kernel.machine import library_version

SHAPE = {
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4_864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
}
_AMOUNT = 1_000
ROWS, _BATCH, _SEED = 64, 4, 40
OURS, _PRODUCTS = "Mozhu", "products"
DEFAULTS_BAR, _PACKING_BAR, MEMORY_BAR = 2.5, 1.3, 0.6


@dataclass
class Side:
    """One trainer: where it runs and what its runs told."""

    title: str
    python: Path
    module: str
    work: Path
    asked: dict[str, Any]
    bar: float = 0.0
    told: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Any = field(default_factory=count)

    def run(self) -> Sample:
        number = next(self._numbers)
        home = self.work / f"{self.title}-{number}".replace(" ", "_")
        environment = {
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "CUDA_VISIBLE_DEVICES": "",
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(home / "hub"),
            "MODELSCOPE_CACHE": str(home / "hub"),
            "MOZHU_WORKSPACE": str(home),
            "MOZHU_TOKEN_CACHE": str(home / "tokens"),
        }
        settings = {**self.asked, "seed": _SEED + number, "output": str(home / "output")}
        told = drive(self.python, f"benchmarks.peers.{self.module}", settings, environment).told
        self.told.append(told)
        return _sample(told)


def measure(work: Path, size: Size) -> list[Comparison]:
    shape = {**SHAPE, **size["shape"]}
    material = write_rows(work / "material", rows_of_demo_lengths(ROWS), shape)
    asked = what_is_asked(material, size["steps"] + 1)
    ours = Side(OURS, Path(sys.executable), "train_ours", work, asked)
    others, missing = peers_of(work, asked)
    products = Side(
        _PRODUCTS, Path(sys.executable), "train_products", work, {"shape": shape, "tokens": _mean_step()}
    )
    sides = {side.title: side.run for side in (ours, *others)}
    alone = _products(products, ours)
    measured = alternate({**sides, _PRODUCTS: alone}, size["rounds"])
    against = [(side.title, OURS) for side in others] + [(OURS, _PRODUCTS)]
    limits = [limit for side in others for limit in _limits(measured, side)] if size["bars"] else []
    return [
        Comparison(
            f"LoRA r=8 of a Qwen2 with {shape['num_hidden_layers']} layers, bf16, one thread, {size['steps']} steps",
            measured,
            _AMOUNT,
            "tokens",
            against=against,
            limits=limits,
            facts={**facts_of((ours, *others)), **_rate(measured, products, ours), **missing},
        )
    ]


def what_is_asked(material: Material, steps: int) -> dict[str, Any]:
    return {
        "model": str(material.model),
        "alpaca": str(material.alpaca),
        "jsonl": str(material.jsonl),
        "info": str(material.info),
        "steps": steps,
        "batch": _BATCH,
    }


def peers_of(work: Path, asked: dict[str, Any]) -> tuple[list[Side], dict[str, str]]:
    """The peers that are there, and a word on each that is not."""
    found, missing = [], {}
    for name, peer in TRAINERS.items():
        python = python_of(name)
        if python is None:
            missing[f"without {peer.title}"] = (
                f"no environment: python -m benchmarks.peers.environments {name}"
            )
        else:
            found.append(Side(peer.title, python, f"train_{name}", work, asked, DEFAULTS_BAR))
    trl = library_version("trl")
    if trl is None:
        missing["without TRL"] = "not installed"
        return found, missing
    for checkpointing in (True, False):
        title = f"TRL {trl}, packing" + ("" if checkpointing else ", no checkpointing")
        told = {**asked, "checkpointing": checkpointing}
        found.append(Side(title, Path(sys.executable), "train_trl", work, told, _PACKING_BAR))
    return found, missing


def _products(products: Side, ours: Side) -> Callable[[], Sample]:
    """As much of them as Mozhu's tokens and labels ask for. Their wall time is not measured."""

    def run() -> Sample:
        number = len(products.told)
        home = products.work / f"products-{number}"
        settings = {**products.asked, "output": str(home)}
        told = drive(
            products.python, f"benchmarks.peers.{products.module}", settings, {"OMP_NUM_THREADS": "1"}
        ).told
        products.told.append(told)
        seconds = _AMOUNT * (told["block_s"] + _label_share(ours) * told["head_s"])
        return Sample(seconds, seconds)

    return run


def _sample(told: dict[str, Any]) -> Sample:
    scale, peak = _AMOUNT / told["tokens"], told["peak_bytes"]
    return Sample(told["wall_s"] * scale, told["cpu_s"] * scale, peak, peak)


def _mean_step() -> int:
    """About how many tokens a step of Mozhu has."""
    return 160 * _BATCH


def _label_share(side: Side) -> float:
    told = side.told or [{"labels": 3, "tokens": 4}]
    return float(median(one["labels"] / one["tokens"] for one in told))


def _limits(measured: dict[str, Measured], side: Side) -> list[Limit]:
    """Mozhu needs at most this share of the peer's CPU seconds, and of the memory of one that does not pack."""
    found = [limit(measured, side.title, "cpu_s", 1 / side.bar, "of its CPU seconds")]
    if side.bar == DEFAULTS_BAR:
        found.append(limit(measured, side.title, "peak_bytes", MEMORY_BAR, "of its peak memory"))
    return found


def limit(measured: dict[str, Measured], theirs: str, figure: str, bar: float, unit: str) -> Limit:
    share = (measured[OURS].figure(figure) or 0.0) / (measured[theirs].figure(figure) or 1.0)
    return Limit(f"{OURS} : {theirs}", round(share, 4), round(bar, 4), unit)


def facts_of(sides: tuple[Side, ...]) -> dict[str, str]:
    """How full the batches of each side were, and how much of them it learns."""
    return {side.title: _told_of(side) for side in sides}


def _told_of(side: Side) -> str:
    tokens, places, labels = (sum(one[name] for one in side.told) for name in ("tokens", "places", "labels"))
    share, learnt = f"{tokens / places:.0%} of the places", f"{labels / tokens:.0%} learnt"
    return f"{tokens / len(side.told):.0f} tokens a run, {share}, {learnt}"


def _rate(measured: dict[str, Measured], products: Side, ours: Side) -> dict[str, str]:
    """The machine's rate of bf16 products on these shapes, and the share of it that training reaches."""
    share = _label_share(ours)
    flops = [_AMOUNT * (one["block_flops"] + share * one["head_flops"]) for one in products.told]
    machine = flops[0] / (measured[_PRODUCTS].figure("cpu_s") or 1.0)
    reached = flops[0] / (measured[OURS].figure("cpu_s") or 1.0)
    return {
        "bf16 products": f"{machine / 1e9:.0f} GFLOP/s on one core",
        "Mozhu's products": f"{reached / 1e9:.0f} GFLOP/s, {reached / machine:.0%} of that rate",
        _PRODUCTS: "wall time is not measured: what is shown as such is CPU seconds",
    }
