"""What it costs to validate a healthy model folder, against reading its bytes once through sha256.

``mozhu validate`` checks structure, headers, index, sidecars and certificate and holds every file against the hash in
the manifest. Peer: the hashes alone, below which no validation that really knows can come. Both read from the
system's memory.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.harness import alternate, in_fork, ratio
from benchmarks.models import make_model, need_room, size_facts
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from mozhu.kernel.files import folder_bytes, sha256_file
from mozhu.platform.catalog.service import registry_validate
from mozhu.specs.records.manifest import make_manifest
from mozhu.specs.registry import ValidateSpec

_MOST = 1.3
# The bar is for a folder of about 1 GB; of a small one the records beside the weights are much of the work.
_FROM_MB = 900


def measure(work: Path, size: Size) -> list[Comparison]:
    return [_compare(work / shape, shape, size["rounds"]) for shape in size["models"]]


def _compare(work: Path, shape: str, rounds: int) -> Comparison:
    need_room(work, shape, 1)
    folder = make_model(work / "model", shape)
    make_manifest(folder).write(folder / "manifest.json")
    measured = alternate(
        {
            "mozhu validate": in_fork(lambda: _validate(work, folder)),
            "sha256": in_fork(lambda: _read(folder)),
        },
        rounds,
    )
    amount, facts = folder_bytes(folder) / 1e6, size_facts(folder)
    shutil.rmtree(work)
    limits = [
        Limit(f"{name} against sha256", found.value, _MOST, "x")
        for name, figure in (("wall", "wall_s"), ("CPU", "cpu_s"))
        if amount > _FROM_MB and (found := ratio(measured, "mozhu validate", "sha256", figure)) is not None
    ]
    return Comparison(
        f"validate the folder of a {shape} Qwen2 (bfloat16)",
        measured,
        amount,
        "MB",
        against=[("mozhu validate", "sha256")],
        limits=limits,
        facts=facts,
    )


def _validate(work: Path, folder: Path) -> None:
    report = registry_validate(work / "workspace", ValidateSpec(model_path=str(folder)))
    if not report.is_whole:
        raise RuntimeError([problem.line() for problem in report.problems])


def _read(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        sha256_file(path)
