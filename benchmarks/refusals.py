"""How long it takes until an adapter on a base that is not its own is refused: eight mismatches, no weight loaded.

Timed apart for each: opening both folders and finding every reason, in a process that has its libraries already; and
the whole command ``mozhu merge`` of the same pair, from the start of its process to its end, as a person waits for it.
The base has the shape of a real model, so that loading its weights would show. Peer: reading those weights once through
sha256.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.harness import Measured, Sample, alternate, in_fork, in_process
from benchmarks.models import make_adapter, make_model, need_room, size_facts, weights_of
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from mozhu.engine.weights.adapter_fit import check_adapter_fits
from mozhu.engine.weights.base_record import write_base_record
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json, sha256_file, write_json
from mozhu.testing.faults import (
    plant_other_prefix,
    plant_other_revision,
    plant_quantised_config,
    plant_renamed_modules,
    plant_resized_vocabulary,
)

_MOST_S = 1.0


def measure(work: Path, size: Size) -> list[Comparison]:
    shape = size["model"]
    need_room(work, shape, 3)
    base = make_model(work / "base", shape)
    adapter = make_adapter(work / "adapter", base)
    write_base_record(adapter, str(base), fingerprint(base))
    others = {"width": make_model(work / "wide", "small"), "layers": make_model(work / "deep", "60M")}
    measured: dict[str, Measured] = {}
    typed: dict[str, Measured] = {}
    for name, change in _mismatches(others).items():
        pair = (work / "pair" / "adapter", work / "pair" / "base")
        shutil.copytree(adapter, pair[0])
        shutil.copytree(base, pair[1], copy_function=_linked)
        wrong = change(*pair) or pair[1]
        peers = {name: in_fork(lambda wrong=wrong, pair=pair: _refused(pair[0], wrong))}
        measured |= alternate(peers, size["rounds"])
        typed |= alternate(
            {name: in_process(lambda wrong=wrong, pair=pair: _typed(pair[0], wrong))}, size["rounds"]
        )
        shutil.rmtree(work / "pair")
    reading = alternate({"reading the weights once": in_fork(lambda: _read(base))}, size["rounds"])
    slowest, waited = (
        max(one.figure("wall_s") or 0.0 for one in all_.values()) for all_ in (measured, typed)
    )
    spent = max(one.figure("cpu_s") or 0.0 for one in typed.values())
    return [
        Comparison(
            f"refuse an adapter on another base ({shape} Qwen2), libraries loaded",
            {**measured, **reading},
            limits=[Limit("slowest of eight refusals", slowest, _MOST_S, "s")],
            facts=size_facts(base),
        ),
        Comparison(
            f"the same as typed: `mozhu merge` of an adapter and another base ({shape} Qwen2)",
            typed,
            limits=[
                Limit("slowest of eight commands", waited, _MOST_S, "s"),
                Limit("CPU of the costliest", spent, _MOST_S, "s"),
            ],
            facts=size_facts(base),
        ),
    ]


def _mismatches(others: dict[str, Path]) -> dict[str, Callable[[Path, Path], Path | None]]:
    return {
        "another revision": lambda _, base: _own(base, plant_other_revision),
        "another prefix": lambda adapter, _: plant_other_prefix(adapter, "model."),
        "another tokenizer": lambda _, base: _fewer_merges(base),
        "another width": lambda _, base: others["width"],
        "another number of layers": lambda _, base: others["layers"],
        "renamed target modules": lambda adapter, _: plant_renamed_modules(adapter),
        "a quantised base": lambda _, base: _own(base, plant_quantised_config),
        "a resized vocabulary": lambda _, base: _own(base, plant_resized_vocabulary),
    }


def _refused(adapter: Path, base: Path) -> None:
    try:
        check_adapter_fits(ModelFolder.open(adapter), ModelFolder.open(base))
    except MozhuError:
        return
    raise RuntimeError(f"{adapter} on {base} was not refused")


def _typed(adapter: Path, base: Path) -> None:
    words = ["merge", "--adapter", str(adapter), "--base_model", str(base), "--output_path"]
    done = subprocess.run(
        [sys.executable, "-m", "mozhu", *words, str(adapter.parent / "out")], capture_output=True, text=True
    )
    if not done.returncode:
        raise RuntimeError(f"{adapter} on {base} was merged")


def _read(base: Path) -> Sample | None:
    sha256_file(weights_of(base))
    return None


def _own(base: Path, change: Callable[[Path], None]) -> None:
    """Change the copy and not what it is linked to."""
    for path in base.iterdir():
        content = base / f"{path.name}.own"
        shutil.copyfile(path, content)
        os.replace(content, path)
    change(base)


def _fewer_merges(base: Path) -> None:
    value = read_json(base / "tokenizer.json")
    value["model"]["merges"].pop()
    write_json(base / "tokenizer.json", value)


def _linked(source: str, target: str) -> None:
    os.link(source, target)
