"""What the catalogue costs: registering, listing, searching and rebuilding it.

Peer of registering: copying the same folders to the disk (fsync) and hashing every file, the physical limit of a
version whose content is kept and proven (Mozhu links weights instead of copying them, and writes sidecars and a
row, each safe on the disk before the next version begins). Peer of
listing, searching and rescanning: reading every ``model_info.json`` below ``5_models``, which is what a registry
without a catalogue has to do each time.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from benchmarks.harness import RUNS, Sample, alternate, in_process, timed
from benchmarks.report import Comparison
from benchmarks.table import Size
from mozhu.kernel.files import sha256_file, write_json
from mozhu.platform.catalog.service import Registry
from mozhu.platform.database.engine import CATALOG

_VERSIONS_A_MODEL = 5
_SEARCHED = "model-7"


def measure(work: Path, size: Size) -> list[Comparison]:
    count, more = size["versions"], size["registered"]
    total = count + RUNS * more
    sources = [_write_adapter(work / "sources" / str(number), number) for number in range(total)]
    root = work / "workspace"
    _register(root, sources[:count], 0)
    compared = [*_reading(root, count), _rescanning(root, count)]
    return [_registering(root, sources[count:], count, more, work / "copies"), *compared]


def _registering(root: Path, sources: list[Path], count: int, more: int, copies: Path) -> Comparison:
    """Every round adds ``more`` versions to a catalogue that holds ``count`` and more."""
    rounds = [sources[start : start + more] for start in range(0, len(sources), more)]
    coming, repeated = enumerate(rounds), iter(rounds)

    def ours() -> None:
        number, taken = next(coming)
        _register(root, taken, count + number * more)

    def theirs() -> Sample:
        shutil.rmtree(copies, ignore_errors=True)
        return timed(lambda: _copy_and_hash(next(repeated), copies))

    measured = alternate({"mozhu": in_process(ours), "copy and hash": in_process(theirs)})
    title = f"register adapters in a catalogue of {count} versions"
    return Comparison(title, measured, more, "versions", against=[("mozhu", "copy and hash")])


def _reading(root: Path, count: int) -> list[Comparison]:
    models = count // _VERSIONS_A_MODEL
    found = []
    for title, searched in (("list", None), ("search", _SEARCHED)):

        def ours(searched: str | None = searched) -> None:
            with Registry(root) as registry:
                assert registry.list_models(searched), "something is found"

        def theirs(searched: str | None = searched) -> None:
            infos = _read_sidecars(root)
            assert [info for info in infos if not searched or searched in str(info)], "something is found"

        measured = alternate({"mozhu": in_process(ours), "read the sidecars": in_process(theirs)})
        facts = {"models": models}
        against = [("mozhu", "read the sidecars")]
        found.append(Comparison(title, measured, count, "versions", against=against, facts=facts))
    return found


def _rescanning(root: Path, count: int) -> Comparison:
    def anew() -> Sample:
        for path in (root / "5_models").glob(f"{CATALOG}*"):
            path.unlink()
        return timed(lambda: _rescan(root, count))

    peers = {"mozhu": in_process(anew), "read the sidecars": in_process(lambda: _read_all(root, count))}
    return Comparison(
        "rebuild the lost catalogue",
        alternate(peers),
        count,
        "versions",
        against=[("mozhu", "read the sidecars")],
    )


def _register(root: Path, sources: list[Path], first: int) -> None:
    with Registry(root) as registry:
        for number, source in enumerate(sources, start=first):
            registry.register(source, name=f"model-{number // _VERSIONS_A_MODEL}", tags=("benchmark", "qa"))


def _rescan(root: Path, count: int) -> None:
    with Registry(root) as registry:
        assert registry.rescan().versions == count, "every version is found again"


def _copy_and_hash(sources: list[Path], target: Path) -> None:
    for number, source in enumerate(sources):
        shutil.copytree(source, target / str(number))
        for path in (target / str(number)).iterdir():
            sha256_file(path)
            with open(path, "rb") as file:
                os.fsync(file.fileno())


def _read_all(root: Path, count: int) -> None:
    assert len(_read_sidecars(root)) == count, "every version has its sidecar"


def _read_sidecars(root: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_bytes()) for path in (root / "5_models").rglob("model_info.json")]


def _write_adapter(folder: Path, number: int) -> Path:
    """A real LoRA folder of about 70 KB; no two are the same."""
    folder.mkdir(parents=True)
    settings = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "base_model_name_or_path": "starter"}
    write_json(folder / "adapter_config.json", settings)
    values = np.random.default_rng(number)
    shapes = {"lora_A": (8, 1024), "lora_B": (1024, 8)}
    tensors = {
        f"base_model.model.q_proj.{name}.weight": values.standard_normal(shape, dtype=np.float32)
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    return folder
