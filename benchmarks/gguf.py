"""What it costs to make a GGUF file: F16, Q8_0 and Q4_K_M of the same model.

Peers: a plain copy of the weights, the physical limit of reading and writing them; and for Q8_0 the numpy
quantiser of the ``gguf`` package, which llama.cpp's own ``convert_hf_to_gguf.py`` uses, writing the same tensors
with the same writer. The peer writes no vocabulary, reads nothing back and hashes nothing; Mozhu does all of it,
and with its certificate (measured with ``--full``) also asks the finished file in llama.cpp the same questions as
the model.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import gguf as gguf_package
import torch
from safetensors import safe_open

from benchmarks.harness import Peer, alternate, in_fork, quiet
from benchmarks.models import cleaner, make_model, need_room, size_facts, weights_of, without_certificate
from benchmarks.report import Comparison
from benchmarks.table import Size
from mozhu.engine.export.convert import run_convert
from mozhu.specs.export import ConvertSpec

_COPIES = 5
_KINDS = ("F16", "Q8_0", "Q4_K_M")


def measure(work: Path, size: Size) -> list[Comparison]:
    return [_compare(work / shape, shape, certificate=certificate) for shape, certificate in size["models"]]


def _compare(work: Path, shape: str, *, certificate: bool) -> Comparison:
    need_room(work, shape, _COPIES)
    base = make_model(work / "base", shape)
    peers = {f"mozhu {kind}": _mozhu(base, work, kind, certificate=False) for kind in _KINDS}
    if certificate:
        peers["mozhu Q8_0 with certificate"] = _mozhu(base, work, "Q8_0", certificate=True)
    theirs, copy = work / "theirs", work / "copy"
    peers["gguf package Q8_0"] = in_fork(lambda: _by_numpy(base, theirs), before=cleaner(theirs))
    peers["plain copy"] = in_fork(lambda: _copy(base, copy), before=cleaner(copy))
    measured = alternate(peers)
    against = [(f"mozhu {kind}", "plain copy") for kind in _KINDS]
    names = {kind: work / f"{kind}-False" for kind in _KINDS}
    return Comparison(
        f"a {shape} Qwen2 (bfloat16) becomes a GGUF file",
        measured,
        weights_of(base).stat().st_size / 1e6,
        "MB",
        against=[("mozhu Q8_0", "gguf package Q8_0"), *against],
        facts={**size_facts(base), "file_mb": {kind: _file_mb(path) for kind, path in names.items()}},
    )


def _mozhu(base: Path, work: Path, kind: str, *, certificate: bool) -> Peer:
    target = work / f"{kind}-{certificate}"

    def convert() -> None:
        if not certificate:
            without_certificate("certify_gguf")
        spec = ConvertSpec(
            model=str(base), quantization=kind, output_path=str(target), model_name="benchmark"
        )
        run_convert(spec, work, quiet)

    return in_fork(convert, before=cleaner(target))


def _by_numpy(base: Path, folder: Path) -> None:
    """All tensors as ``convert_hf_to_gguf.py --outtype q8_0`` writes them: matrices Q8_0, the rest float32."""
    torch.set_num_threads(1)
    folder.mkdir()
    kind = gguf_package.GGMLQuantizationType.Q8_0
    names = gguf_package.get_tensor_name_map(gguf_package.MODEL_ARCH.QWEN2, 128)
    writer = gguf_package.GGUFWriter(str(folder / "model.gguf"), "qwen2", use_temp_file=False)
    with safe_open(weights_of(base), "pt") as file:
        for name in file.keys():  # noqa: SIM118 (no mapping)
            values = file.get_tensor(name).float().numpy()
            target = str(names.get_name(name, try_suffixes=(".weight", ".bias")))
            if values.ndim == 1:
                writer.add_tensor(target, values)
            else:
                writer.add_tensor(target, gguf_package.quants.quantize(values, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    writer.close()


def _copy(base: Path, folder: Path) -> None:
    folder.mkdir()
    shutil.copyfile(weights_of(base), folder / "copy")


def _file_mb(folder: Path) -> float:
    return round(next(folder.glob("*.gguf")).stat().st_size / 1e6, 1)
