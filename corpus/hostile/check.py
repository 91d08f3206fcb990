"""Every hostile file is handed in and must be refused whole; every clean one must pass and keep its numbers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.hostile.archives import archives
from corpus.hostile.clean import Clean, clean_checkpoints, same_numbers
from corpus.hostile.headers import headers
from corpus.hostile.payload import Hostile
from corpus.hostile.pickles import pickles
from corpus.hostile.torch_files import torch_files
from mozhu.engine.intake.inspect import SAFE, UNPACKED, Inspected, inspect_path
from mozhu.engine.intake.limits import Limits

_MARK = "mozhu-was-here"


@dataclass(frozen=True)
class Line:
    """``found`` are the codes that were found; ``ok``: a hostile file was stopped whole, a clean one passed."""

    name: str
    found: tuple[str, ...]
    ok: bool


@dataclass
class HostileResult:
    hostile: list[Line] = field(default_factory=list)
    clean: list[Line] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return all(line.ok for line in (*self.hostile, *self.clean))


def hostile_files() -> Iterator[Hostile]:
    yield from pickles()
    yield from torch_files()
    yield from archives()
    yield from headers()


def check_hostile() -> HostileResult:
    """All of it; clean checkpoints are also converted, in a process each."""
    result = HostileResult()
    with tempfile.TemporaryDirectory(prefix="mozhu-hostile-") as folder:
        for number, item in enumerate(hostile_files()):
            result.hostile.append(check_one(item, Path(folder) / f"h{number}"))
        result.clean += [
            check_clean(item, Path(folder) / "runs") for item in clean_checkpoints(Path(folder) / "clean")
        ]
    return result


def check_one(item: Hostile, work: Path) -> Line:
    """Refused for one of the reasons it should be, with nothing left of it and nothing run."""
    work.mkdir(parents=True)
    path = work / item.file
    path.write_bytes(item.content)
    done = _inspected(path, work / "run")
    codes = _codes(done)
    left = [name for name in (UNPACKED, SAFE) if (work / "run" / name).exists()]
    ran = any((place / _MARK).exists() for place in (Path.cwd(), work, work / "run"))
    stopped = done.place is None and bool(set(codes) & set(item.codes))
    return Line(item.name, codes, stopped and not left and not ran)


def check_clean(item: Clean, runs: Path, *, convert: bool = True) -> Line:
    """No reason against it, and the numbers are the same in what came out."""
    run = runs / item.name.replace(" ", "-").replace("/", "-")
    done = _inspected(item.path, run, convert=convert)
    good = done.place is not None and done.recognised is not None
    if good and convert:
        assert done.place is not None
        good = same_numbers(item, done.place)
    return Line(item.name, _codes(done), good)


def _inspected(path: Path, run: Path, *, convert: bool = True) -> Inspected:
    run.mkdir(parents=True, exist_ok=True)
    here = os.getcwd()
    os.chdir(run)
    try:
        return inspect_path(path, run, Limits(), _quiet, convert=convert)
    finally:
        os.chdir(here)


def _codes(done: Inspected) -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding.code for finding in done.findings if finding.level == "error"))


def _quiet(kind: str, **fields: Any) -> None:
    """Takes the events and keeps none."""
