"""How long it takes from raw rows to the first batch of a training, cold and from a cache.

Peers: LLaMA-Factory 0.9.5 and ms-swift 4.6, each in an environment of its own (``python -m
benchmarks.peers.environments``); one that is not there is left out and the record says so. All sides get the same
generated Chinese rows, the same tokenizer and template, and two cores; each prepares as its own training does:
Mozhu in its way, the peers in one process, which is their default, and in two, one a core. Each side's cache is the
one its documentation names: Mozhu's token cache, ``tokenized_path``, ``cached_dataset``.

A run is a new process. It is told twice: from its start, with everything that a training loads before its model,
and from the end of the imports, so that nobody wins by imports. Ids and labels of all rows are compared before
anything is measured. ms-swift keeps the length of a row and encodes it again in every epoch; the others keep ids.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import Measured, Sample, Skipped, alternate
from benchmarks.peers.environments import PEERS, TRAINERS, packages_of, python_of
from benchmarks.peers.material import Material, write_material
from benchmarks.peers.process import Driven, drive
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size

_MAX_LENGTH = 1024
_COLD_BAR, _CACHE_BAR = 3, 20
_OURS = "Mozhu"
_TOLD_PACKAGES = ("torch", "transformers", "datasets", "tokenizers")


@dataclass
class _Side:
    """One tool: where it runs, where its cache lies, what its runs told."""

    title: str
    python: Path
    module: str
    material: Material
    work: Path
    runs: dict[str, list[Driven]] = field(default_factory=dict)

    def fill(self) -> dict[str, Any]:
        """Its cache is there; returns its digest of all rows, read from that cache."""
        if self.module == "swift":
            self._drive("kept", 2, cache=True, fill_cache=True)
        told = self._drive("kept", 2, cache=True, check=True).told
        return {**told["digest"], "kept": told["rows"]}

    def cold(self, name: str, workers: int) -> Callable[[], Sample]:
        return lambda: self._sample(name, "cold", workers, cache=False)

    def cached(self, name: str) -> Callable[[], Sample]:
        return lambda: self._sample(name, "kept", 2, cache=True)

    def _sample(self, name: str, home: str, workers: int, *, cache: bool) -> Sample:
        if not cache:
            shutil.rmtree(self.work / home, ignore_errors=True)
        driven = self._drive(home, workers, cache=cache)
        self.runs.setdefault(name, []).append(driven)
        return driven.whole()

    def _drive(
        self, home: str, workers: int, *, cache: bool, check: bool = False, fill_cache: bool = False
    ) -> Driven:
        place = self.work / home
        settings = {
            "model": str(self.material.model),
            "alpaca": str(self.material.alpaca),
            "jsonl": str(self.material.jsonl),
            "info": str(self.material.info),
            "max_length": _MAX_LENGTH,
            "workers": workers,
            "output": str(place / "output"),
            "cache": str(place / "prepared") if cache else None,
            "check": check,
            "fill_cache": fill_cache,
        }
        environment = {
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(place / "hub"),
            "MODELSCOPE_CACHE": str(place / "hub"),
            "MOZHU_WORKSPACE": str(place),
            "MOZHU_TOKEN_CACHE": str(place / "tokens"),
        }
        return drive(self.python, f"benchmarks.peers.{self.module}", settings, environment)


def measure(work: Path, size: Size) -> list[Comparison]:
    material = write_material(work / "material", size["rows"])
    ours = _Side(_OURS, Path(sys.executable), "ours", material, work / "ours")
    others, missing = _peers(material, work)
    digests = {side.title: side.fill() for side in (ours, *others)}
    _check(digests, size["rows"])
    facts = {**_facts(digests, others), **missing}
    peers = {f"{_OURS}, cold": ours.cold(f"{_OURS}, cold", 2)}
    for side in others:
        for workers in size["workers"]:
            name = f"{side.title}, cold, {workers} process{'es' if workers > 1 else ''}"
            peers[name] = side.cold(name, workers)
    for side in (ours, *others):
        name = f"{side.title}, cache"
        peers[name] = side.cached(name)
    whole = alternate(peers, size["rounds"])
    runs = {name: driven for side in (ours, *others) for name, driven in side.runs.items()}
    alone = {name: Measured([one.work() for one in runs[name]]) for name in peers}
    return [
        _comparison("process start to first batch", whole, others, size, facts),
        _comparison("preparation alone, imports done", alone, others, size, {}),
    ]


def _peers(material: Material, work: Path) -> tuple[list[_Side], dict[str, str]]:
    """The peers that are there, and a word on each that is not.

    Raises:
        Skipped: Not one is there.
    """
    found, missing = [], {}
    for name, peer in TRAINERS.items():
        python = python_of(name)
        if python is None:
            missing[f"without {peer.title}"] = (
                f"no environment: python -m benchmarks.peers.environments {name}"
            )
        else:
            found.append(_Side(peer.title, python, name, material, work / name))
    if not found:
        raise Skipped("no peer has its environment here: python -m benchmarks.peers.environments")
    return found, missing


def _check(digests: dict[str, dict[str, Any]], rows: int) -> None:
    """Every side kept every row, with the same ids and the same labels."""
    for title, told in digests.items():
        assert told["kept"] == told["rows"] == rows, f"{title} kept {told['kept']} of {rows} rows"
    for name in ("tokens", "ids_sum", "labels_sum"):
        assert len({told[name] for told in digests.values()}) == 1, f"{name} differs: {digests}"


def _facts(digests: dict[str, dict[str, Any]], others: list[_Side]) -> dict[str, Any]:
    """What the sides kept, learn and are made of."""
    told = {
        title: f"{kept['kept']} rows kept, {kept['tokens']} tokens, {kept['labels']} learnt"
        for title, kept in digests.items()
    }
    for side in others:
        packages = packages_of(side.module)
        names = (PEERS[side.module].package, *_TOLD_PACKAGES)
        told[side.title] += f" ({', '.join(f'{name} {packages[name]}' for name in names)})"
    return told


def _comparison(
    title: str, measured: dict[str, Measured], others: list[_Side], size: Size, facts: dict[str, Any]
) -> Comparison:
    cold, cached = f"{_OURS}, cold", f"{_OURS}, cache"
    colds = [name for name in measured if ", cold" in name and name != cold]
    against = [(name, ours) for ours in (cold, cached) for name in colds]
    against += [(f"{side.title}, cache", cached) for side in others]
    limits = []
    if size["bars"]:
        limits = [_limit(measured, cold, name, _COLD_BAR) for name in colds]
        limits += [_limit(measured, cached, name, _CACHE_BAR) for name in colds]
    return Comparison(title, measured, size["rows"], "rows", against=against, limits=limits, facts=facts)


def _limit(measured: dict[str, Measured], ours: str, theirs: str, bar: int) -> Limit:
    """``ours`` is to be ``bar`` times faster than ``theirs``."""
    share = (measured[ours].figure("wall_s") or 0.0) / (measured[theirs].figure("wall_s") or 1.0)
    return Limit(f"{ours} : {theirs}", round(share, 4), round(1 / bar, 4), "of its wall time")
